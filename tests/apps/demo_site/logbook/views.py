"""The site's pages: one for each thing a server has to carry (a form, an upload, a stream, a file)."""

import time

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.http import FileResponse, HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_sameorigin
from django.views.decorators.http import require_http_methods, require_safe

from .answered_by import facts
from .forms import EntryForm, UploadForm
from .models import Entry, StoredFile

MOST_LINES = 200
LONGEST_PAUSE = 5.0


@require_http_methods(["GET", "HEAD", "POST"])
def entries(request):
    if request.method == "POST" and not request.user.is_authenticated:
        return redirect_to_login(request.path)
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.instance.author = request.user.get_username()
        written = form.save()
        messages.success(request, "Your entry is in the book.")
        return redirect(written)
    page = Paginator(Entry.objects.all(), 10).get_page(request.GET.get("page"))
    return render(request, "logbook/entries.html", {"page": page, "form": form})


@require_safe
def entry(request, pk):
    return render(request, "logbook/entry.html", {"entry": get_object_or_404(Entry, pk=pk)})


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def files(request):
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        kept = StoredFile.keep(form.cleaned_data["file"])
        messages.success(request, f"{kept.name} is stored.")
        return redirect("files")
    return render(request, "logbook/files.html", {"form": form, "files": StoredFile.objects.all()[:20]})


@login_required
@require_safe
def download(request, pk):
    stored = get_object_or_404(StoredFile, pk=pk)
    return FileResponse(stored.content.open("rb"), as_attachment=True, filename=stored.name)


@require_safe
def stream_page(request):
    return render(request, "logbook/stream.html")


@never_cache
@xframe_options_sameorigin  # the stream page shows it in a frame
@require_safe
def stream(request):
    """Lines that are made while they are sent, each with the moment it was made."""
    try:
        lines = min(max(int(request.GET.get("lines", 20)), 1), MOST_LINES)
        pause = min(max(float(request.GET.get("pause", 0.25)), 0.0), LONGEST_PAUSE)
    except ValueError:
        return HttpResponseBadRequest("lines is a whole number, pause a number of seconds\n", content_type="text/plain")
    by = facts(request)

    def made():
        for number in range(1, lines + 1):
            if number > 1:
                time.sleep(pause)
            yield f"line {number} of {lines}  made={time.time():.6f}  worker={by['worker']} pid={by['pid']}\n"

    return StreamingHttpResponse(made(), content_type="text/plain; charset=utf-8")


@never_cache
@require_safe
def worker(request):
    return render(request, "logbook/worker.html")


@never_cache
@require_safe
def worker_json(request):
    return JsonResponse(facts(request))
