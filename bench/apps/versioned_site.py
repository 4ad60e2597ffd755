"""The Django site of reload.py and soak_reloads.py. They copy it into a folder of its own and write version.py beside it;
a deploy writes version.py anew. With Django's admin its import takes what a small site's does, some hundred milliseconds.
"""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from version import VERSION

settings.configure(
    SECRET_KEY="of no value outside of a measurement",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    USE_TZ=True,
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
    ],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
)


def front_page(request):
    answer = HttpResponse(f"version {VERSION}\n", content_type="text/plain")
    answer["X-Version"] = str(VERSION)
    answer["X-Worker-Pid"] = str(os.getpid())
    return answer


urlpatterns = [path("", front_page)]
application = get_wsgi_application()
