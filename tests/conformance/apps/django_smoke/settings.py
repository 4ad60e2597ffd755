"""A Django project for the smoke list (WSGI 61). SMOKE_DATA is the folder of its database and files; SMOKE_DEBUG turns
DEBUG on."""

import os
from pathlib import Path

DATA = Path(os.environ["SMOKE_DATA"])
SECRET_KEY = "of no value outside of a test"
DEBUG = "SMOKE_DEBUG" in os.environ
ALLOWED_HOSTS = [".example.com", "xn--bcher-kva.example", "localhost", "127.0.0.1", "a"]
ROOT_URLCONF = "django_smoke.urls"
MIDDLEWARE = [
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "CONN_MAX_AGE": None if "SMOKE_PERSISTENT" in os.environ else 0,
    }
}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "broken": {"BACKEND": "no_such_module.Cache"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 100_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 50
DATA_UPLOAD_MAX_NUMBER_FILES = 3
FILE_UPLOAD_TEMP_DIR = DATA
USE_TZ = True
LOGGING = {  # Django's own choice, without DEBUG, is mail to nobody
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"django": {"handlers": ["console"], "propagate": False}},
}
