"""Makes or completes everything the demo site needs in DEMO_DATA. Running it again changes nothing that is right."""

import os

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from ...models import Entry

USER = "demo"

FIRST_ENTRIES = [
    ("The watch is set", "A worker serves a stint and is relieved; the people it was serving never notice."),
    ("Relief of worker 1", "It answered a thousand requests. Its replacement was ready before it went."),
    ("Fog on the harbour", "Visibility two cables. Nothing lost, nothing reset."),
    ("Übergabe", "Wachwechsel um acht Uhr, alles ruhig. ☼"),
]


class Command(BaseCommand):
    help = "Creates the database, the demo user, a few entries and the collected static files; may be run again."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--password", default=os.environ.get("DEMO_PASSWORD") or "demo")

    def handle(self, *, password, verbosity, **options):
        settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
        settings.FILE_UPLOAD_TEMP_DIR.mkdir(parents=True, exist_ok=True)
        call_command("migrate", interactive=False, verbosity=verbosity)
        call_command("collectstatic", interactive=False, verbosity=verbosity)
        self.ensure_user(password)
        for title, text in [] if Entry.objects.exists() else reversed(FIRST_ENTRIES):
            Entry.objects.create(author=USER, title=title, text=text)
        self.stdout.write(f"The demo site's data is ready in {settings.DATA}.")

    def ensure_user(self, password):
        user, _ = get_user_model().objects.get_or_create(username=USER, defaults={"email": "demo@example.org"})
        if user.is_superuser and user.is_staff and user.is_active and user.check_password(password):
            return
        user.is_superuser = user.is_staff = user.is_active = True
        user.set_password(password)
        user.save()
