"""requests and httpx against Stint: pools of kept-alive connections, streams up and down, redirects, cookies, many at a
time, and workers that are replaced meanwhile.

    client_python.py --stint build/release/stint --foreign build/foreign

Neither client sends a request twice here (no retries), so that whatever a connection suffers is seen.
"""

import asyncio
import hashlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import requests
from foreign import Suite
from stint_server import PATIENCE, StintServer, eventually, expect

NOISE = bytes(range(256)) * 256


def noise(size):
    return (NOISE * (size // len(NOISE) + 1))[:size]


def pieces(count):
    for _ in range(count):
        yield NOISE


def ports(facts):
    return {fact["environ"]["REMOTE_PORT"] for fact in facts}


# --- requests -----------------------------------------------------------------------------------------------------------
def requests_session(base):
    with requests.Session() as session:
        facts = [session.get(f"{base}/seen", timeout=PATIENCE).json() for _ in range(20)]
        expect("twenty requests use one connection", len(ports(facts)) == 1, ports(facts))
        empty = session.get(f"{base}/cookies?empty=1", timeout=PATIENCE)
        expect("so do answers without a body", empty.status_code == 204 and not empty.content, empty.status_code)
        facts.append(session.get(f"{base}/seen", timeout=PATIENCE).json())
        expect("afterwards as well", len(ports(facts)) == 1, ports(facts))
        cookies = facts[-1]["environ"]["HTTP_COOKIE"].split("; ")
        expect("cookies come back", sorted(cookies) == ["one=1", "two=a b"], cookies)


def requests_uploads(base):
    with requests.Session() as session:
        told = session.post(f"{base}/seen", data=pieces(33), timeout=PATIENCE).json()
        expect("a generator is sent in chunks, and arrives", told["sha256"] == hashlib.sha256(NOISE * 33).hexdigest(), told)
        expect("as a body with a length", told["environ"]["CONTENT_LENGTH"] == str(33 * len(NOISE)), told["environ"])
        told = session.post(
            f"{base}/seen", files={"file": ("noise.bin", noise(3_000_000))}, data={"a": "b"}, timeout=PATIENCE
        ).json()
        expect("a form with a file arrives", told["size"] > 3_000_000, told)
        told = session.post(f"{base}/seen", data=b"", timeout=PATIENCE).json()
        expect("an empty body is empty", told["size"] == 0, told)
        back = session.post(f"{base}/echo", data=pieces(20), timeout=PATIENCE)
        expect("a body comes back as it was", back.content == NOISE * 20, len(back.content))
        unread = session.post(f"{base}/unread", data=noise(500_000), timeout=PATIENCE)
        expect("an unread body does no harm", unread.content == b"Hello, World!", unread.content)
        expect("on the same connection too", session.get(f"{base}/hello", timeout=PATIENCE).text == "Hello, World!")


def requests_downloads(base):
    with requests.Session() as session:
        for path in "/noise?size=5000001", "/noise?size=5000001&length=1":
            digest, size = hashlib.sha256(), 0
            with session.get(base + path, stream=True, timeout=PATIENCE) as answer:
                for piece in answer.iter_content(10_000):
                    digest.update(piece)
                    size += len(piece)
            expect(f"{path} is complete", digest.hexdigest() == hashlib.sha256(noise(5_000_001)).hexdigest(), size)
        with session.get(f"{base}/slowly?lines=3&pause=0.1", stream=True, timeout=PATIENCE) as answer:
            expect("a slow answer comes line by line", len(list(answer.iter_lines())) == 3)
        head = session.head(f"{base}/noise?size=77&length=1", timeout=PATIENCE)
        expect("HEAD has the length and no body", head.headers["Content-Length"] == "77" and not head.content, head.headers)


def requests_redirects(base):
    answer = requests.get(f"{base}/redirect?status=302&left=4", timeout=PATIENCE)
    expect("five redirects are followed", len(answer.history) == 5 and answer.status_code == 200, answer.history)
    told = requests.post(f"{base}/redirect?status=308&left=1", data=b"kept", timeout=PATIENCE).json()
    expect("308 keeps method and body", told["environ"]["REQUEST_METHOD"] == "POST" and told["size"] == 4, told)


def requests_side_by_side(base):
    def one(number):
        size = number * 7919 % 200_000
        return session.post(f"{base}/echo", data=noise(size), timeout=PATIENCE).content == noise(size)

    with requests.Session() as session, ThreadPoolExecutor(16) as threads:
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=16, pool_block=True)
        session.mount("http://", adapter)
        right = list(threads.map(one, range(300)))
    expect("300 bodies of any size come back", all(right), right.count(False))


# --- httpx --------------------------------------------------------------------------------------------------------------
def httpx_client(base):
    with httpx.Client(base_url=base, timeout=PATIENCE) as client:
        facts = [client.get("/seen").json() for _ in range(20)]
        expect("twenty requests use one connection", len(ports(facts)) == 1, ports(facts))
        told = client.post("/seen", content=pieces(20)).json()
        expect("a generator arrives", told["sha256"] == hashlib.sha256(NOISE * 20).hexdigest(), told)
        with client.stream("GET", "/noise?size=3000000") as answer:
            content = b"".join(answer.iter_bytes())
        expect("a stream is complete", content == noise(3_000_000), len(content))
        with client.stream("POST", "/echo", content=noise(1_000_000)) as answer:
            content = b"".join(answer.iter_raw(4096))
        expect("so is one in both directions", content == noise(1_000_000), len(content))
        answer = client.get("/redirect?status=301&left=2", follow_redirects=True)
        expect("redirects are followed", len(answer.history) == 3 and answer.status_code == 200, answer.history)
        expect("OPTIONS, PATCH and DELETE pass", [client.request(m, "/seen").json()["environ"]["REQUEST_METHOD"]
               for m in ("OPTIONS", "PATCH", "DELETE")] == ["OPTIONS", "PATCH", "DELETE"])  # fmt: skip
        told = client.get("/seen", headers=[("X-Twice", "a"), ("X-Twice", "b")], params={"q": "ä ö"}).json()["environ"]
        expect("repeated fields are joined", told["HTTP_X_TWICE"] == "a, b", told)
        expect("the query stays encoded", told["QUERY_STRING"] == "q=%C3%A4+%C3%B6", told)


def httpx_asynchronous(base):
    async def all_at_once():
        limits = httpx.Limits(max_connections=40, max_keepalive_connections=40)
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE, limits=limits) as client:

            async def upload():
                for _ in range(10):
                    yield NOISE

            async def one(number):
                if number % 3 == 0:
                    return (await client.post("/echo", content=upload())).content == NOISE * 10
                if number % 3 == 1:
                    async with client.stream("GET", f"/noise?size={number * 1000}") as answer:
                        return await answer.aread() == noise(number * 1000)
                return (await client.get("/hello")).text == "Hello, World!"

            return await asyncio.gather(*(one(number) for number in range(240)))

    right = asyncio.run(all_at_once())
    expect("240 requests over 40 connections are answered", all(right), right.count(False))


def abandoned_streams(base):
    """A client that closes in the middle of an answer that it does not want."""
    with httpx.Client(base_url=base, timeout=PATIENCE) as client:
        for _ in range(10):
            with client.stream("GET", "/noise?size=50000000") as answer:
                next(answer.iter_bytes())
        expect("the next one is served", client.get("/hello").text == "Hello, World!")


# --- and workers that are replaced --------------------------------------------------------------------------------------
def replaced_workers(server, stint):
    """Pools of connections outlive the workers behind them."""
    stop, failures, answered = threading.Event(), [], []

    def ask(get):
        count = 0
        try:
            while not stop.is_set():
                if get(count) != noise(count % 100_000):
                    raise AssertionError("another body")
                count += 1001
                time.sleep(0.002)
        except Exception as failure:
            failures.append(repr(failure))
        answered.append(count)

    base = f"http://127.0.0.1:{server.port}"
    session, client = requests.Session(), httpx.Client(timeout=PATIENCE)
    askers = [
        threading.Thread(
            target=ask, args=[lambda n: session.get(f"{base}/noise?size={n % 100_000}", timeout=PATIENCE).content]
        ),
        threading.Thread(
            target=ask, args=[lambda n: session.post(f"{base}/echo", data=noise(n % 100_000), timeout=PATIENCE).content]
        ),
        threading.Thread(target=ask, args=[lambda n: client.get(f"{base}/noise?size={n % 100_000}&length=1").content]),
        threading.Thread(target=ask, args=[lambda n: client.post(f"{base}/echo", content=noise(n % 100_000)).content]),
    ]
    for asker in askers:
        asker.start()
    try:
        for round in range(3):
            ready = server.log().count("worker ready")
            subprocess.run([stint, "recycle", "-c", server.folder / "stint.toml"], check=True, capture_output=True)
            eventually("both workers are replaced", lambda: server.log().count("worker ready") >= ready + 2)
            eventually("the old ones are gone", lambda: server.log().count("worker exited") >= (round + 1) * 2)
    finally:
        stop.set()
        for asker in askers:
            asker.join()
        session.close()
        client.close()
    expect("no request suffers", not failures, failures)
    expect("all four asked all the time", len(answered) == 4 and min(answered) > 0, answered)


STORIES = [
    requests_session, requests_uploads, requests_downloads, requests_redirects, requests_side_by_side, httpx_client,
    httpx_asynchronous, abandoned_streams,
]  # fmt: skip


def main():
    suite = Suite(__doc__)
    with StintServer(suite.stint, "for_clients:application", workers=2) as server:
        base = f"http://127.0.0.1:{server.port}"
        for story in STORIES:
            suite.tell(story.__name__.replace("_", " "), lambda: story(base))
        suite.tell("replaced workers", lambda: replaced_workers(server, suite.stint))
    return suite.end()


if __name__ == "__main__":
    sys.exit(main())
