#include "embed/django_caches.h"

#include "embed/fork_check.h"
#include "embed/py_text.h"

namespace stint::embed {

void make_django_caches(const Gil& gil) {
  const unsigned forks_before = forks_so_far();
  PyRef name = interned(gil, "django.core.cache");
  PyRef module = name ? PyRef::steal(PyImport_GetModule(name.get())) : PyRef();
  PyRef caches = module ? PyRef::steal(PyObject_GetAttrString(module.get(), "caches")) : PyRef();
  PyRef aliases = caches ? PyRef::steal(PyObject_GetIter(caches.get())) : PyRef();
  while (aliases) {
    PyRef alias = PyRef::steal(PyIter_Next(aliases.get()));
    if (!alias) break;
    PyRef made = PyRef::steal(PyObject_GetItem(caches.get(), alias.get()));
    leave_if_forked(gil, forks_before);
    PyErr_Clear();
  }
  PyErr_Clear();  // settings that are not there, or are wrong, are for Django to tell when they are needed
}

}  // namespace stint::embed
