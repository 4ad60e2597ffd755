from django.contrib import admin

from .models import Entry, StoredFile

admin.site.site_header = "Stint demo"


@admin.register(Entry)
class EntryAdmin(admin.ModelAdmin):
    list_display = ["title", "author", "written"]
    search_fields = ["title", "text"]


@admin.register(StoredFile)
class StoredFileAdmin(admin.ModelAdmin):
    list_display = ["name", "size", "sha256", "stored"]
    readonly_fields = ["size", "sha256", "stored"]

    def has_add_permission(self, request):
        return False  # only the upload page computes size and checksum
