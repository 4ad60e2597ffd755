"""Settings of the demo site. Nothing is written beside the sources: all data is in the folder DEMO_DATA.

DEMO_DATA   holds db.sqlite3, secret_key, uploads/, incoming/ and static/; `manage.py prepare_demo` fills it.
DEMO_HOSTS  host names the site answers to, separated by commas; loopback when absent.
"""

import os
import tempfile
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured
from django.core.management.utils import get_random_secret_key

if not os.environ.get("DEMO_DATA"):
    raise ImproperlyConfigured("DEMO_DATA is not set: it names the folder for the demo site's database and files")
DATA = Path(os.environ["DEMO_DATA"]).absolute()


def secret_key():
    """Signs sessions, so it outlives a worker and is the same in all of them: the first process to need it makes it."""
    path = DATA / "secret_key"
    if not path.exists():
        DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=DATA)  # mode 0600
        with open(descriptor, "w") as file:
            file.write(get_random_secret_key())
        try:
            os.link(name, path)  # complete from the moment it is seen
        except FileExistsError:
            pass  # another process was first; its key counts
        os.unlink(name)
    return path.read_text()


SECRET_KEY = secret_key()
DEBUG = False
ALLOWED_HOSTS = os.environ.get("DEMO_HOSTS", "localhost,127.0.0.1,[::1]").split(",")

INSTALLED_APPS = [
    "logbook",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "logbook.answered_by.context",
            ]
        },
    }
]
ROOT_URLCONF = "demo_site.urls"
WSGI_APPLICATION = "demo_site.wsgi.application"
LOGIN_URL = "admin:login"

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        # Several workers write: readers go on meanwhile (WAL), and a second writer waits instead of failing.
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

STATIC_URL = "/static/"
STATIC_ROOT = DATA / "static"
MEDIA_ROOT = DATA / "uploads"
# On the same file system as MEDIA_ROOT, so that keeping a large upload is a rename and not a copy.
FILE_UPLOAD_TEMP_DIR = DATA / "incoming"
FILE_UPLOAD_PERMISSIONS = 0o600

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    # The server's access log tells of 404 and 403 already.
    "loggers": {"django.request": {"level": "ERROR"}},
}
