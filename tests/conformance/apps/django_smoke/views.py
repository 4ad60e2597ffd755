"""One view for each item of the list. `file` and `until` name files by which a test and a view wait for each other."""

import os
import time

from django.conf import settings
from django.core.signals import request_finished
from django.core.cache import caches
from django.db import connection
from django.db.backends.signals import connection_created
from django.http import FileResponse, HttpResponse, JsonResponse, RawPostDataException, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.urls import get_script_prefix, reverse
from django.views.decorators.csrf import csrf_exempt


def note(name):
    with open(settings.DATA / name, "ab", buffering=0) as file:
        file.write(b".")


request_finished.connect(lambda **_: note("finished"), weak=False)
connection_created.connect(lambda **_: note("connected"), weak=False)


@csrf_exempt
def upload(request):
    uploaded = request.FILES["file"]
    with open(settings.DATA / "uploaded", "wb") as kept:
        for chunk in uploaded.chunks():
            kept.write(chunk)
    return JsonResponse(
        {
            "class": type(uploaded).__name__,
            "name": uploaded.name,
            "size": uploaded.size,
            "field": request.POST.get("field"),
            "is_in_file": hasattr(uploaded, "temporary_file_path") and os.path.exists(uploaded.temporary_file_path()),
        }
    )


@csrf_exempt
def partly_read(request):
    first = request.read(5)
    try:
        request.body
        raised = None
    except RawPostDataException as error:
        raised = type(error).__name__
    return JsonResponse({"first": first.decode(), "raised": raised, "rest": request.read().decode()})


@csrf_exempt
def body(request):
    note("body-called")
    return JsonResponse({"length": request.META.get("CONTENT_LENGTH"), "size": len(request.body)})


def stream(request):
    def pieces():
        yield "first\n"
        while not os.path.exists(request.GET["until"]):
            time.sleep(0.002)
        yield "second\n"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


def file(request):
    return FileResponse(open(request.GET["file"], "rb"), as_attachment=True, filename="smoke.bin")


def page(request):
    return HttpResponse("a page that stays as it is\n")


def long_page(request):
    if "streamed" in request.GET:
        return StreamingHttpResponse(("line %05d\n" % number for number in range(2000)), content_type="text/plain")
    return HttpResponse("".join("line %05d\n" % number for number in range(2000)), content_type="text/plain")


def urls(request, rest):
    return JsonResponse(
        {
            "path": request.path,
            "path_info": request.path_info,
            "full_path": request.get_full_path(),
            "absolute": request.build_absolute_uri(),
            "of_another": request.build_absolute_uri(reverse("urls")),
            "host": request.get_host(),
            "port": request.get_port(),
            "scheme": request.scheme,
            "is_secure": request.is_secure(),
            "script_prefix": get_script_prefix(),
        }
    )


@csrf_exempt
def form(request):
    return JsonResponse({"fields": len(request.POST), "files": len(request.FILES)})


def protected_form(request):
    if request.method == "POST":
        return JsonResponse({"message": request.POST["message"]})
    return HttpResponse(get_token(request), content_type="text/plain")


def non_ascii(request, name):
    return JsonResponse(
        {
            "path": request.path,
            "name": name,
            "query": request.GET.get("q"),
            "absolute": request.build_absolute_uri(),
            "reversed": reverse("non-ascii", args=[name]),
        }
    )


def fails(request):
    raise ZeroDivisionError("raised by a view")


def connection_in_use(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        answer = cursor.fetchone()[0]
    return JsonResponse({"pid": os.getpid(), "answer": answer})


caches_seen = []


def cache_in_use(request):
    if "alias" in request.GET:
        return HttpResponse(repr(caches[request.GET["alias"]]))
    client = caches["default"]
    if not any(client is seen for seen in caches_seen):
        caches_seen.append(client)
    return JsonResponse({"clients": len(caches_seen)})
