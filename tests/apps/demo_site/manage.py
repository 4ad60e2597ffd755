"""Django's command line for the demo site: python manage.py prepare_demo, runserver, …

DEMO_DATA names the folder with the site's data; see demo_site/settings.py.
"""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_site.settings")
    execute_from_command_line(sys.argv)
