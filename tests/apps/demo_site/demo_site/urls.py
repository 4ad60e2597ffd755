from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("logbook.urls")),
    # Pages that name no icon, the admin's, have browsers ask for this one.
    path("favicon.ico", RedirectView.as_view(url=static("logbook/lamp.svg"))),
]
