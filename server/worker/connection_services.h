// What every connection of a worker uses; one a worker, made by Worker. Guarded by the lease of the event loop.
#pragma once

#include "server/control/connection_table.h"
#include "server/control/status_page.h"
#include "server/http/forwarded.h"
#include "server/http/request_parser.h"
#include "server/worker/access_logger.h"
#include "server/worker/connection_table.h"
#include "server/worker/deadlines.h"
#include "server/worker/dispatcher.h"
#include "server/worker/event_loop.h"
#include "server/worker/loop_lease.h"
#include "server/worker/private_memory.h"
#include "server/worker/read_buffers.h"
#include "server/worker/request_ids.h"
#include "stint/log.h"
#include "stint/settings.h"

#include <atomic>
#include <functional>
#include <memory>

namespace stint::worker {

// The limits of waiting (HTTP.md "Bounds"): one list for each kind, since all of a kind last equally long.
struct ConnectionDeadlines {
  explicit ConnectionDeadlines(const HttpSettings& settings)
      : head(settings.head_timeout),
        body(settings.body_timeout),
        idle(settings.idle_timeout),
        write(settings.write_timeout),
        linger(std::chrono::seconds(2)),
        last_idle(std::chrono::seconds(1)) {}
  DeadlineList head;  // from the first byte (or the accept) to the complete head
  DeadlineList body;  // between two reads of a body
  DeadlineList idle;
  DeadlineList write;   // between two bytes that the client takes
  DeadlineList linger;  // for the client to read a last answer and close; anew with what it sends
  // Of a server that stops: a client that is talking gets its last answer with an announced close; one that is not is
  // closed after this.
  DeadlineList last_idle;
};

struct ConnectionServices {
  ConnectionServices(const Settings& settings, unsigned slot, Application& application, EventLoop& event_loop,
                     LoopLease& loop_lease, control::StatusPage& status_page, control::ConnectionTableView& table_view,
                     int inbox_put_end, AccessLogger& access_logger, PrivateMemory& memory, Log& log);

  // Live connections go to other workers instead of being ended.
  bool hands_over() const { return is_draining && !is_stopping; }
  // The next answer of a connection is its last, because nobody will go on with it or nobody shall.
  bool announces_close() const { return is_stopping || is_leaving || (is_draining && is_inbox_full); }

  // Of a connection on which nobody is talking.
  DeadlineList& limit_of_rest(DeadlineList& usual) { return is_stopping ? deadlines.last_idle : usual; }

  const unsigned worker_slot;
  const http::HeadLimits head_limits;
  const Bytes max_body;
  const http::ForwardedRules forwarded_rules;
  const bool awaits_proxy_header;  // at the beginning of every connection
  const bool takes_named_files;    // StaticFiles::takes_named_files
  const bool raises_on_disconnect;
  EventLoop& loop;
  LoopLease& lease;
  control::StatusPage& page;
  control::ConnectionTableView& shared_table;  // a slot for each of `table`
  const int inbox_put;
  AccessLogger& access;
  PrivateMemory& private_memory;
  Log& log;
  ConnectionDeadlines deadlines;
  RunningCalls calls;
  Dispatcher dispatcher;
  ReadBuffers read_buffers;
  RequestIds request_ids;
  // Written with the lease; a call that begins its answer reads them without.
  std::atomic<bool> is_draining = false;
  std::atomic<bool> is_stopping = false;          // drains, and no other worker will take over
  std::atomic<bool> is_leaving = false;           // the server is going to stop: clients shall go elsewhere
  std::atomic<bool> is_inbox_full = false;        // the last attempt to hand a connection over failed
  std::uint32_t period = 1;                       // of evening the load out (Balance)
  unsigned active_connections = 0;                // that have had an answer in it
  bool has_told_of_dropped_fields = false;        // said once a worker; the page counts them all
  std::function<void()> look_for_orders = [] {};  // reads the channel now; set by the worker
  ConnectionTable table;                          // last: its connections use all the rest
};

}  // namespace stint::worker
