from django.urls import path

from django_smoke import views

urlpatterns = [
    path("upload", views.upload),
    path("partly-read", views.partly_read),
    path("body", views.body),
    path("stream", views.stream),
    path("file", views.file),
    path("page", views.page),
    path("long-page", views.long_page),
    path("urls/<path:rest>", views.urls),
    path("urls/", views.urls, {"rest": ""}, name="urls"),
    path("form", views.form),
    path("protected-form", views.protected_form),
    path("café/<str:name>", views.non_ascii, name="non-ascii"),
    path("fails", views.fails),
    path("connection", views.connection_in_use),
    path("cache", views.cache_in_use),
]
