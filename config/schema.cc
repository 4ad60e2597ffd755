#include "config/schema.h"

#include <algorithm>

namespace stint::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr Duration shortest = milliseconds(1);
constexpr Duration longest = hours(24 * 365);

#define IN(member) +[](Settings& settings) -> auto& { return settings.member; }

constexpr Key key_table[] = {
    {"listen", Listeners{IN(listen)}, R"(["127.0.0.1:8000"])", "", ChangeCost::new_generation,
     R"(Where to listen: "127.0.0.1:8000", "[::1]:8000", "unix:/run/stint/site.sock". Port 0 lets the kernel choose one.
An IPv6 address takes no IPv4: ["0.0.0.0:80", "[::]:80"] for both.
Sockets of a systemd .socket unit: "systemd" for all of them, "systemd:NAME" for those with that FileDescriptorName.
When neither this file nor the command line names a listener, the environment's PORT does (on 0.0.0.0).)"},

    {"app.name", Text{IN(app.name), TextRule::name}, "", R"("mysite")", ChangeCost::restart,
     "Name of the pool in the log and in `stint status`. Default: the first part of `module`."},
    {"app.module", Text{IN(app.module), TextRule::module}, "", R"("mysite.wsgi:application")",
     ChangeCost::new_generation, "The WSGI application: MODULE:CALLABLE. There is no default."},
    {"app.directory", Text{IN(app.directory), TextRule::folder}, "", R"("/srv/mysite")", ChangeCost::new_generation,
     R"(Working directory of the workers, and where Python looks for modules first.
Default: the folder of this file; without a file, the working directory.)"},
    {"app.venv", Text{IN(app.venv), TextRule::venv}, R"("")", "", ChangeCost::new_generation,
     R"(Virtual environment of the application. "": the Python that Stint was built with.)"},
    {"app.env", Environment{IN(app.env)}, "{}", "", ChangeCost::new_generation,
     R"(Environment variables of the workers: { DJANGO_SETTINGS_MODULE = "mysite.settings" }.)"},
    {"app.mount", Text{IN(app.mount), TextRule::mount}, R"("")", "", ChangeCost::recycle,
     R"(Where the application stands below the site: "/shop" makes that its SCRIPT_NAME, and what is not below it is 404.)"},
    {"app.show_errors", Switch{IN(app.show_errors)}, "false", "", ChangeCost::recycle,
     R"(true: when the application raises, the client sees the traceback. For development (`stint serve --dev`) only.)"},
    {"app.retry_interrupted", Switch{IN(app.retry_interrupted)}, "true", "", ChangeCost::recycle,
     R"(A GET, HEAD or OPTIONS request that a worker's death interrupted before any of its answer was out is served once more by
another worker, with environ["stint.retried"] set to True. false: it is answered 502, as all other requests are.)"},

    {"app.user", Text{IN(app.user), TextRule::account}, R"("")", "", ChangeCost::new_generation,
     R"(The user that the workers run as: a name, or a number as "1000". Stint itself has to be started by root, or by that
user. Root is no such user. The workers' HOME, USER, LOGNAME and SHELL are the user's unless `env` sets them.
"": the user that started Stint.)"},
    {"app.group", Text{IN(app.group), TextRule::account}, R"("")", "", ChangeCost::new_generation,
     R"(Their group: a name or a number. Unix sockets that Stint listens on belong to it, so that the web server in front
reaches them when it is a member; one that is open keeps its group until a restart. The user's other groups stay.
"": the user's primary group.)"},
    {"app.umask", Mask{IN(app.umask)}, R"("")", "", ChangeCost::new_generation,
     R"(What nobody else may do with the files that the workers make: "0027", no access for others and no writing for the
group. "": as Stint was started.)"},
    {"app.nice", Integer{IN(app.nice), -20, 19}, "0", "", ChangeCost::new_generation,
     "Added to Stint's own niceness: above 0, other processes of the machine go first. Less than 0 takes root."},

    {"app.limits.memory", Limit{IN(app.limits.memory), true, (64_MiB).count, (65536_GiB).count}, R"("inherit")", "",
     ChangeCost::new_generation,
     R"(Largest address space of a worker: "1GiB", "unlimited" or "inherit". Python raises MemoryError when it is full. It counts
what is mapped, used or not, so it is larger than what `max_rss` counts, which is the better limit for leaks.)"},
    {"app.limits.open_files", Limit{IN(app.limits.open_files), false, 64, 10'000'000}, R"("inherit")", "",
     ChangeCost::new_generation,
     R"(Most open descriptors: a number, "unlimited" or "inherit". Each connection takes one, or two with a large body; so more
than twice `max_connections`.)"},
    {"app.limits.processes", Limit{IN(app.limits.processes), false, 1, 10'000'000}, R"("inherit")", "",
     ChangeCost::new_generation,
     R"(Most processes and threads of the workers' user, all of its others on this machine counted: a number, "unlimited" or
"inherit". A worker takes three more than `workers.threads`, its keeper among them. It does not bind root.)"},
    {"app.limits.core", Limit{IN(app.limits.core), true, 0, (65536_GiB).count}, R"("inherit")", "",
     ChangeCost::new_generation,
     R"(Largest core file of a worker that crashed: a size, 0 for none, "unlimited" or "inherit". It holds all that the
application knew.)"},

    {"app.workers.count", WorkerCount{IN(app.workers.count), IN(app.workers.max_count), 1024}, R"("auto")", "",
     ChangeCost::nothing,
     R"(Number of worker processes. "auto": one for each processor that Stint may use. { min = 2, max = 8 }: as many as the
load asks for, within `memory.budget`.)"},
    {"app.workers.shrink_after", Time{IN(app.workers.shrink_after), Duration(1000), longest, false}, R"("60s")", "",
     ChangeCost::nothing, "With a range of `count`: a worker goes when for so long one less would have done."},
    {"app.workers.threads", Number{IN(app.workers.threads), 1, 256}, "1", "", ChangeCost::new_generation,
     R"(How many requests a worker may have in the application at the same time, each on a thread of its own. For views that wait
more than they compute, and only for applications that are safe with threads; wsgi.multithread is true then.)"},
    {"app.workers.start", Start{IN(app.workers.start)}, R"("fresh")", "", ChangeCost::new_generation,
     R"("fresh": each worker starts Python and imports the application by itself.
"fork": a process that serves nobody, the zygote, does it once, answers the warm-up requests, and workers are forked from
it: they are ready in milliseconds and share the memory that they do not change. The application must have no thread and
no open connection after its import; otherwise the start fails and names them.)"},
    {"app.workers.startup_timeout", Time{IN(app.workers.startup_timeout), shortest, longest, false}, R"("60s")", "",
     ChangeCost::nothing, "A worker that is not ready after this time has failed to start."},
    {"app.workers.request_timeout", Time{IN(app.workers.request_timeout), shortest, longest, true}, R"("60s")", "",
     ChangeCost::recycle,
     R"(Limit of one call into the application without progress: it counts anew whenever the client has got a part of the
answer. Then the client gets 504, the log the stack of the call's thread, and the worker is replaced when its other
requests are done; the call does not hold that up. 0: none.)"},
    {"app.workers.raise_on_timeout", Switch{IN(app.workers.raise_on_timeout)}, "false", "", ChangeCost::recycle,
     R"(Whether stint.RequestTimeout, a BaseException, is raised in the thread of a call that has timed out, as soon as that runs
Python code again: it can roll back and close what it has open. A retiring worker waits for such calls.)"},
    {"app.workers.raise_on_disconnect", Switch{IN(app.workers.raise_on_disconnect)}, "false", "", ChangeCost::recycle,
     R"(Whether stint.ClientDisconnected, a BaseException, is raised in the thread of a GET, HEAD or OPTIONS request whose client
is gone. Without, the call learns it when it gives the next part of its answer.)"},

    {"app.recycle.max_requests", Number{IN(app.recycle.max_requests), 0, 1'000'000'000'000}, "0", "",
     ChangeCost::nothing, "A worker is replaced after this many requests. 0: never."},
    {"app.recycle.refork_after", Number{IN(app.recycle.refork_after), 0, 1'000'000'000'000}, "0", "",
     ChangeCost::nothing,
     R"(With `workers.start = "fork"`: the first worker that has answered so many requests becomes the zygote, and all others are
forked from it again, one by one. They share what has been loaded and computed since the import. A worker with threads or
open connections is not fit for that; the log says so, and the zygote stays. 0: never.)"},
    {"app.recycle.max_rss", Size{IN(app.recycle.max_rss), 1_MiB, 65536_GiB, true}, "0", "", ChangeCost::nothing,
     "A worker is replaced when its private memory is larger than this; shared pages do not count. 0: never."},
    {"app.recycle.max_age", Time{IN(app.recycle.max_age), shortest, longest, true}, "0", "", ChangeCost::nothing,
     "A worker is replaced when it is this old. 0: never."},
    {"app.recycle.max_fds", Number{IN(app.recycle.max_fds), 0, 10'000'000}, "0", "", ChangeCost::nothing,
     "A worker is replaced when it has more open descriptors than this; its clients' connections do not count. 0: "
     "never."},
    {"app.recycle.max_threads", Number{IN(app.recycle.max_threads), 0, 1'000'000}, "0", "", ChangeCost::nothing,
     "A worker is replaced when its process has more threads than this, `workers.threads` and two of Stint's own among "
     "them. 0: never."},
    {"app.recycle.min_age", Time{IN(app.recycle.min_age), shortest, longest, true}, "0", "", ChangeCost::nothing,
     "A worker younger than this is not replaced because of one of the limits above. 0: none is too young."},
    {"app.recycle.kill_rss", Size{IN(app.recycle.kill_rss), 1_MiB, 65536_GiB, true}, "0", "", ChangeCost::nothing,
     R"(A worker whose private memory is larger than this is killed in the middle of its request, which is answered 503.
For requests that would take all memory; larger than `max_rss`. 0: never.)"},
    {"app.recycle.at_once", Number{IN(app.recycle.at_once), 1, 1024}, "1", "", ChangeCost::nothing,
     "How many workers may be out at a time: replacements that start and workers that retire."},
    {"app.recycle.drain_timeout", Time{IN(app.recycle.drain_timeout), shortest, longest, false}, R"("30s")", "",
     ChangeCost::recycle, "How long a retiring worker may take to finish its requests before the rest is closed."},

    {"app.warmup.requests", Targets{IN(app.warmup_requests)}, "[]", "", ChangeCost::recycle,
     R"(Requests that a new worker answers to itself before it serves anybody: ["/"].)"},

    {"reload.watch", Switch{IN(reload.watch)}, "false", "", ChangeCost::nothing,
     R"(true: reload when a *.py below `app.directory`, or this file, changes; an application that cannot be imported is answered
with its traceback (app.show_errors). For development (`stint serve --dev`) only.)"},
    {"reload.settle", Time{IN(reload.settle), shortest, longest, true}, R"("1s")", "", ChangeCost::nothing,
     R"(How long the workers of a new generation have to stay alive, ready, before they take over from the old one. 0: not at all.)"},
    {"reload.canary.workers", Number{IN(reload.canary.workers), 0, 1024}, "0", "", ChangeCost::nothing,
     R"(So many workers of a new generation serve first, beside the old one. 0, or as many as there are: all take over together.)"},
    {"reload.canary.requests", Number{IN(reload.canary.requests), 1, 1'000'000'000}, "100", "", ChangeCost::nothing,
     "Requests that they answer before the others start."},
    {"reload.canary.max_errors", Number{IN(reload.canary.max_errors), 0, 1'000'000'000}, "0", "", ChangeCost::nothing,
     "More answers of 500 and above than this, and the old generation goes on alone."},

    {"http.head_timeout", Time{IN(http.head_timeout), shortest, longest, false}, R"("10s")", "", ChangeCost::recycle,
     "Time for a request's head, from its first byte to its last."},
    {"http.body_timeout", Time{IN(http.body_timeout), shortest, longest, false}, R"("30s")", "", ChangeCost::recycle,
     "Time without a byte of a request's body."},
    {"http.idle_timeout", Time{IN(http.idle_timeout), shortest, longest, false}, R"("75s")", "", ChangeCost::recycle,
     "Time that a kept-alive connection may wait for its next request."},
    {"http.write_timeout", Time{IN(http.write_timeout), shortest, longest, false}, R"("30s")", "", ChangeCost::recycle,
     "Time without a byte of an answer taken by the client."},
    {"http.max_request_line", Size{IN(http.max_request_line), {64}, 1_MiB, false}, R"("8KiB")", "", ChangeCost::recycle,
     "Longest request line: method, target and version."},
    {"http.max_header_fields", Number{IN(http.max_header_fields), 1, 10'000}, "100", "", ChangeCost::recycle,
     "Most header fields of a request."},
    {"http.max_header_size", Size{IN(http.max_header_size), {64}, 16_MiB, false}, R"("64KiB")", "", ChangeCost::recycle,
     "Largest size of all header fields of a request together."},
    {"http.max_body", Size{IN(http.max_body), {1}, 65536_GiB, false}, R"("1GiB")", "", ChangeCost::recycle,
     "Largest body of a request."},
    {"http.max_connections", Number{IN(http.max_connections), 1, 1'000'000}, "1024", "", ChangeCost::recycle,
     "Most open connections of one worker."},

    {"proxy.trusted", Networks{IN(proxy.trusted)}, "[]", "", ChangeCost::recycle,
     R"(The proxies in front: addresses and networks such as "127.0.0.1", "10.0.0.0/8", "2001:db8::/32"; "unix" for all that
connect through a unix socket. What they say about the client they speak for counts; anybody else's word does not.)"},
    {"proxy.headers", ForwardedFields{IN(proxy.headers)}, R"(["X-Forwarded-For", "X-Forwarded-Proto", "X-Request-ID"])",
     "", ChangeCost::recycle,
     R"(Fields of trusted proxies that count: "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host",
"X-Forwarded-Port", "X-Forwarded-Prefix" and "X-Request-ID". Not all by default: a proxy passes on what it does not
overwrite, so a field that counts here and that the proxy does not set is the client's word. Name what yours sets.)"},
    {"proxy.protocol", Switch{IN(proxy.protocol)}, "false", "", ChangeCost::recycle,
     R"(true: every connection on every listener has to begin with a PROXY protocol header (version 1 or 2), and to come from
one of `trusted`; others are closed without an answer.)"},
    {"proxy.user_header", Text{IN(proxy.user_header), TextRule::user_header}, R"("")", "", ChangeCost::recycle,
     R"(A field such as "X-Remote-User" that becomes REMOTE_USER when a trusted proxy sends it. The proxy has to remove the
client's own field of that name. "": none.)"},

    {"static", StaticRoots{IN(static_roots)}, "[]", "", ChangeCost::recycle,
     "Files served without the application. One [[static]] for each folder."},

    {"stop.drain_delay", Time{IN(stop.drain_delay), shortest, longest, true}, "0", "", ChangeCost::nothing,
     R"(After TERM, INT or `stint stop` the server goes on for this long, so that a load balancer finds out and sends nobody
any more: it accepts and answers, and each answer says `Connection: close`. A second signal ends the wait. 0: none.)"},

    {"memory.budget", Budget{IN(memory.budget), 16_MiB, 65536_GiB}, R"("auto")", "", ChangeCost::nothing,
     R"(What the workers may have together, in private memory: a size, or "auto", what the control group (memory.max) and the
machine have left. Where a new generation does not fit into it beside the old one, a reload replaces worker by worker.)"},

    {"control.socket", Text{IN(control_socket), TextRule::socket_path}, R"("")", "", ChangeCost::restart,
     R"(Path of the socket that `stint status`, `recycle` and `stop` talk to. "": its default place, private to the user.)"},

    {"log.level", Level{IN(log.level)}, R"("info")", "", ChangeCost::recycle,
     R"(Least severe lines that are written: "debug", "info", "warning" or "error".)"},
    {"log.access", Text{IN(log.access), TextRule::access_log}, R"("-")", "", ChangeCost::recycle,
     R"(File of the access log. "-": standard output; "": none. Where `app.user` may not make it, Stint makes it for that user.)"},
    {"log.format", Text{IN(log.format), TextRule::log_format}, R"("combined")", "", ChangeCost::recycle,
     R"(Format of the access log: "combined", "common", "json", or an Apache LogFormat string.)"},
    {"log.error", Text{IN(log.error), TextRule::error_log}, R"("-")", "", ChangeCost::recycle,
     R"(File of the server's own log. "-": standard error. Made for `app.user` like that of the access log.)"},
};

#undef IN

constexpr Table table_table[] = {
    {"", "Settings of Stint."},
    {"app", "The application."},
    {"app.limits", "What each worker process may take of the machine (setrlimit). \"inherit\": as Stint was started."},
    {"app.workers", "The worker processes."},
    {"app.recycle", "When a worker is replaced by a fresh one. No connection is cut by it."},
    {"app.warmup", "What a worker does before it serves."},
    {"reload", "How a new generation of workers, with new code and settings, takes over from the old one."},
    {"reload.canary", "A few workers of a new generation that serve before the others."},
    {"http", "Limits for clients."},
    {"proxy", "Proxies and load balancers in front of Stint: whose word about the client counts."},
    {"static", "Files served without the application. One [[static]] for each folder."},
    {"stop", "What happens between the order to stop and the stop."},
    {"memory", "Memory of all workers together."},
    {"control", "How `stint status` and its like reach the running server."},
    {"log", "What is written, and where. A pipe that nobody reads stops nobody: lines are dropped, and counted."},
};

}  // namespace

std::string_view table_part(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == path.npos ? std::string_view{} : path.substr(0, dot);
}

std::string_view name_part(std::string_view path) {
  const auto dot = path.rfind('.');
  return dot == path.npos ? path : path.substr(dot + 1);
}

std::string_view Key::table() const { return table_part(path); }
std::string_view Key::name() const { return name_part(path); }

std::span<const Key> keys() { return key_table; }
std::span<const Table> tables() { return table_table; }

const Key* find_key(std::string_view path) {
  const auto found = std::ranges::find(key_table, path, &Key::path);
  return found == std::end(key_table) ? nullptr : found;
}

bool is_table(std::string_view path) {
  return !find_key(path) && std::ranges::find(table_table, path, &Table::path) != std::end(table_table);
}

}  // namespace stint::config
