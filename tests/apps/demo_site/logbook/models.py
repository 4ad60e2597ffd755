"""What the log book keeps: entries, and files with the checksum they arrived with."""

import hashlib

from django.db import models
from django.urls import reverse


class Entry(models.Model):
    author = models.CharField(max_length=150)
    title = models.CharField(max_length=120)
    text = models.TextField(max_length=4000)
    written = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-written", "-pk"]
        verbose_name_plural = "entries"

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("entry", args=[self.pk])


class StoredFile(models.Model):
    name = models.CharField(max_length=255)
    content = models.FileField(upload_to="%Y/%m")
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    stored = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-stored", "-pk"]

    def __str__(self):
        return self.name

    @classmethod
    def keep(cls, upload):
        """Stores an uploaded file. The checksum is of the bytes that arrived, read in pieces."""
        digest = hashlib.sha256()
        for piece in upload.chunks():
            digest.update(piece)
        return cls.objects.create(name=upload.name, content=upload, size=upload.size, sha256=digest.hexdigest())
