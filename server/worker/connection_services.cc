#include "server/worker/connection_services.h"

namespace stint::worker {

ConnectionServices::ConnectionServices(const Settings& settings, unsigned slot, Application& application,
                                       EventLoop& event_loop, LoopLease& loop_lease, control::StatusPage& status_page,
                                       control::ConnectionTableView& table_view, int inbox_put_end,
                                       AccessLogger& access_logger, PrivateMemory& memory, Log& the_log)
    : worker_slot(slot),
      head_limits{.max_request_line = settings.http.max_request_line,
                  .max_header_fields = settings.http.max_header_fields,
                  .max_header_size = settings.http.max_header_size,
                  .max_body = settings.http.max_body},
      max_body(settings.http.max_body),
      forwarded_rules(settings.proxy),
      awaits_proxy_header(settings.proxy.protocol),
      takes_named_files(StaticFiles::takes_named_files(settings.static_roots)),
      raises_on_disconnect(settings.app.workers.raise_on_disconnect),
      loop(event_loop),
      lease(loop_lease),
      page(status_page),
      shared_table(table_view),
      inbox_put(inbox_put_end),
      access(access_logger),
      private_memory(memory),
      log(the_log),
      deadlines(settings.http),
      calls(event_loop, status_page, settings.app.workers.request_timeout),
      dispatcher(application, settings, loop_lease, calls, status_page, the_log),
      table(settings.http.max_connections) {
  for (DeadlineList* list :
       {&deadlines.head, &deadlines.body, &deadlines.idle, &deadlines.write, &deadlines.linger, &deadlines.last_idle}) {
    loop.add(*list);
  }
}

}  // namespace stint::worker
