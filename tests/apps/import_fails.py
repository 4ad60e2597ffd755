"""A module that cannot be imported: tests/embed looks at how that is told."""

from wsgi_cases import nothing_of_this_name
