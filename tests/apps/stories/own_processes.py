"""Views that start processes, threads and event loops of their own, by each way that Python has. An answer is JSON: what
came of it, and how many of the sockets that the worker had before (its listeners, inbox, clients) the child has as well.
"""
import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from urllib.parse import parse_qs

LIST_SOCKETS = "import own_processes; print(*own_processes.sockets())"


def sockets():
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink("/proc/self/fd/" + fd))
        except FileNotFoundError:
            pass  # the listing's own
    return sorted(link for link in links if link.startswith("socket:"))


def work(number):
    """In a child: the result, who has worked, and the sockets it has."""
    return number * number, os.getpid(), sockets()


def put_work(queue, number):
    queue.put(work(number))


def summary(before, results):
    """Each of `results` is work()'s."""
    shared = {link for _, _, links in results for link in links} & set(before)
    is_elsewhere = all(pid != os.getpid() for _, pid, _ in results)
    return {"results": [result for result, _, _ in results], "elsewhere": is_elsewhere, "shared": len(shared)}


def os_fork(before, query):
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(write_end, "w") as pipe:
            json.dump(work(7), pipe)
        os._exit(3)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        done = json.load(pipe)
    _, status = os.waitpid(child, 0)
    return summary(before, [done]) | {"exit": os.waitstatus_to_exitcode(status)}


def subprocess_run(before, query):
    """All descriptors that are not close-on-exec go along."""
    script = [sys.executable, "-c", LIST_SOCKETS]
    here = os.path.dirname(os.path.abspath(__file__))
    ran = subprocess.run(script, cwd=here, capture_output=True, text=True, check=True, close_fds=False)
    return {"exit": ran.returncode, "shared": len(set(ran.stdout.split()) & set(before))}


def subprocess_pipe(before, query):
    """A preexec_fn makes it a fork instead of a vfork, and runs in the child."""
    child = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=os.setpgrp)
    out, _ = child.communicate(b"through a pipe")
    return {"results": out.decode(), "exit": child.returncode}


def asyncio_run(before, query):
    async def add(number):
        await asyncio.sleep(0.001)
        return number

    async def main():
        child = await asyncio.create_subprocess_exec("/bin/echo", "from a child", stdout=asyncio.subprocess.PIPE)
        out, _ = await child.communicate()
        in_thread = await asyncio.to_thread(threading.get_ident) != threading.get_ident()
        return [await asyncio.gather(*map(add, range(3))), out.decode(), child.returncode, in_thread]

    return {"results": asyncio.run(main())}


def multiprocessing_process(before, query):
    context = multiprocessing.get_context(query["method"])
    queue = context.SimpleQueue()
    children = [context.Process(target=put_work, args=(queue, number)) for number in (2, 3)]
    for child in children:
        child.start()
    results = sorted(queue.get() for _ in children)
    for child in children:
        child.join()
    return summary(before, results) | {"exit": [child.exitcode for child in children]}


def multiprocessing_pool(before, query):
    with multiprocessing.get_context(query["method"]).Pool(2) as pool:
        return summary(before, pool.map(work, range(4)))


def process_pool_executor(before, query):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(query["method"])) as executor:
        return summary(before, list(executor.map(work, range(4))))


def thread_pool_executor(before, query):
    with ThreadPoolExecutor(3) as executor:
        return {"results": [result for result, _, _ in executor.map(work, range(4))]}


def terminated_child(before, query):
    """Which ends by the signal that it is sent."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    child.start()
    child.terminate()
    child.join()
    return {"exit": child.exitcode}


def later(before, query):
    """Another view, when the file `until` is there."""
    with open(query["touch"], "w"):
        pass
    while not os.path.exists(query["until"]):
        time.sleep(0.005)
    return globals()[query["view"]](sockets(), query)


def lasting_child(before, query):
    """A child that stays when its request is answered, and when its worker has gone. Says its pid."""
    if query["by"] in ("fork", "setsid"):
        pid = os.fork()
        if pid == 0:
            if query["by"] == "setsid":
                os.setsid()
            time.sleep(300)
            os._exit(0)
    else:
        pid = subprocess.Popen(["/bin/sleep", "300"], close_fds=False).pid
    return {"pid": pid}


def application(environ, start_response):
    before = sockets()
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    if environ["PATH_INFO"] == "/":
        answer = {"pid": os.getpid()}
    else:
        answer = globals()[environ["PATH_INFO"][1:]](before, query)
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Worker-Pid", str(os.getpid()))])
    return [body]
