from django.urls import path

from . import views

urlpatterns = [
    path("", views.entries, name="entries"),
    path("entries/<int:pk>/", views.entry, name="entry"),
    path("files/", views.files, name="files"),
    path("files/<int:pk>/", views.download, name="download"),
    path("stream/", views.stream_page, name="stream-page"),
    path("stream/lines/", views.stream, name="stream"),
    path("worker/", views.worker, name="worker"),
    path("worker.json", views.worker_json, name="worker-json"),
]
