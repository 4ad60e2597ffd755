#include "server/supervisor/upgrade_state.h"

#include "server/control/connection_table.h"
#include "server/control/inbox.h"
#include "server/control/status_page.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace stint::supervisor {

namespace {

namespace json = boost::json;

// One list of fields for each struct serves both directions, so that they cannot part: Writer and Reader are called
// with a name and the field. Where a later version adds a field, its Reader has to live without it.

class Writer;
class Reader;

template <class Archive, class Counts>
void fields(Archive& archive, Counts& counts, const WorkerCounts*) {
  archive("requests", counts.requests);
  archive("server_errors", counts.server_errors);
  archive("failures", counts.failures);
  archive("clients_gone", counts.clients_gone);
  archive("idle_timeouts", counts.idle_timeouts);
  archive("write_timeouts", counts.write_timeouts);
  archive("request_timeouts", counts.request_timeouts);
  archive("times_full", counts.times_full);
  archive("dropped_fields", counts.dropped_fields);
  archive("refused", counts.refused);
}

template <class Archive, class Record>
void fields(Archive& archive, Record& record, const WorkerRecord*) {
  archive("slot", record.slot);
  archive("generation", record.generation);
  archive("started", record.started);
  archive("state", record.state);
  archive("ready_since", record.ready_since);
  archive("retiring_since", record.retiring_since);
  archive("retire_cause", record.retire_cause);
  archive("recycle_reason", record.recycle_reason);
  archive("recycle_detail", record.recycle_detail);
  archive("killed", record.killed);
  archive("channel_lost_at", record.channel_lost_at);
  archive("is_serving", record.is_serving);
  archive("is_draining", record.is_draining);
  archive("is_keeper_lost", record.is_keeper_lost);
  archive("is_given_up", record.is_given_up);
  archive("is_forked", record.is_forked);
  archive("becomes_zygote", record.becomes_zygote);
}

template <class Archive, class Worker>
void fields(Archive& archive, Worker& worker, const WorkerUnderUpgrade*) {
  archive("record", worker.record);
  archive("pid", worker.pid);
  archive("pidfd", worker.pidfd);
  archive("channel", worker.channel);
  archive("status_page", worker.status_page);
  archive("connection_table", worker.connection_table);
}

template <class Archive, class Pool>
void fields(Archive& archive, Pool& pool, const PoolState*) {
  archive("generation", pool.generation);
  archive("last_generation", pool.last_generation);
  archive("count", pool.count);
  archive("reload", pool.reload);
  archive("reload_began", pool.reload_began);
  archive("restarts", pool.restarts);
  archive("recycled", pool.recycled);
  archive("former", pool.former);
  archive("keepers_left", pool.keepers_left);
  archive("workers", pool.workers);
}

template <class Archive, class File>
void fields(Archive& archive, File& file, const net::SocketFileId*) {
  archive("path", file.path);
  archive("device", file.device);
  archive("inode", file.inode);
}

template <class Archive, class Socket>
void fields(Archive& archive, Socket& socket, const SocketState*) {
  archive("socket", socket.socket);
  archive("file", socket.file);
}

template <class Archive, class Manager>
void fields(Archive& archive, Manager& manager, const ServiceManagerSettings*) {
  archive("socket", manager.socket);
  archive("watchdog", manager.watchdog);
}

template <class Archive, class Formats>
void fields(Archive& archive, Formats& formats, const SharedFormats*) {
  archive("status_page", formats.status_page);
  archive("connection_table", formats.connection_table);
  archive("inbox", formats.inbox);
}

template <class Archive, class State>
void fields(Archive& archive, State& state, const UpgradeState*) {
  archive("formats", state.formats);
  archive("version", state.version);
  archive("settings", state.settings);
  archive("began", state.began);
  archive("service_manager", state.service_manager);
  archive("inbox_put", state.inbox_put);
  archive("inbox_take", state.inbox_take);
  archive("listeners", state.listeners);
  archive("control_socket", state.control_socket);
  archive("control_path", state.control_path);
  archive("pool", state.pool);
}

// The enumerator that text_of() gives this text.
template <class Enum>
std::optional<Enum> enumerator(std::string_view text) {
  for (int number = 0; number < 64; ++number) {
    const auto candidate = static_cast<Enum>(number);
    if (!text_of(candidate).empty() && text_of(candidate) == text) return candidate;
  }
  return std::nullopt;
}

class Writer {
 public:
  template <class T>
  void operator()(const char* name, const T& field) {
    object_[name] = value_of(field);
  }
  json::object take() { return std::move(object_); }

  template <class T>
  static json::value value_of(const T& field) {
    if constexpr (std::is_enum_v<T>) {
      return json::value(text_of(field));
    } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
      return json::value(field);
    } else {
      Writer writer;
      fields(writer, field, &field);
      return writer.take();
    }
  }
  static json::value value_of(const TimePoint& time) {
    return std::chrono::nanoseconds(time.time_since_epoch()).count();
  }
  static json::value value_of(const std::chrono::microseconds& time) { return time.count(); }
  template <class T>
  static json::value value_of(const std::optional<T>& field) {
    return field ? value_of(*field) : json::value();
  }
  template <class T>
  static json::value value_of(const std::vector<T>& items) {
    json::array array;
    for (const T& item : items) array.push_back(value_of(item));
    return array;
  }
  // By names: another version may have other reasons, and others in between.
  static json::value value_of(const std::map<RecycleReason, std::uint64_t>& counts) {
    json::object object;
    for (const auto& [reason, count] : counts) object[text_of(reason)] = count;
    return object;
  }
  static json::value value_of(const std::array<std::uint64_t, refusal_reasons>& counts) {
    json::object object;
    for (std::size_t i = 0; i < counts.size(); ++i)
      if (counts[i] != 0) object[refusal_reason_names[i]] = counts[i];
    return object;
  }

 private:
  json::object object_;
};

// Throws what is wrong; decode_upgrade_state() catches.
class Reader {
 public:
  Reader(const json::value& value, std::string place) : object_(object_in(value, place)), place_(std::move(place)) {}

  template <class T>
  void operator()(const char* name, T& field) {
    const std::string place = place_.empty() ? name : place_ + "." + name;
    const json::value* value = object_.if_contains(name);
    if (value == nullptr) throw std::runtime_error("it lacks '" + place + "'");
    read(*value, place, field);
  }

 private:
  [[noreturn]] static void refuse(const std::string& place) { throw std::runtime_error("'" + place + "' is wrong"); }

  static const json::object& object_in(const json::value& value, const std::string& place) {
    if (!value.is_object()) refuse(place.empty() ? "it" : place);
    return value.get_object();
  }

  template <class T>
  static void read(const json::value& value, const std::string& place, T& field) {
    if constexpr (std::is_same_v<T, bool>) {
      if (!value.is_bool()) refuse(place);
      field = value.get_bool();
    } else if constexpr (std::is_enum_v<T>) {
      if (!value.is_string()) refuse(place);
      const auto found = enumerator<T>(value.get_string());
      if (!found) refuse(place);
      field = *found;
    } else if constexpr (std::is_arithmetic_v<T>) {
      boost::system::error_code code;
      field = value.to_number<T>(code);
      if (code) refuse(place);
    } else if constexpr (std::is_same_v<T, std::string>) {
      if (!value.is_string()) refuse(place);
      field = std::string_view(value.get_string());
    } else {
      Reader reader(value, place);
      fields(reader, field, &field);
    }
  }
  static void read(const json::value& value, const std::string& place, TimePoint& time) {
    std::int64_t count = 0;
    read(value, place, count);
    time = TimePoint(std::chrono::duration_cast<TimePoint::duration>(std::chrono::nanoseconds(count)));
  }
  static void read(const json::value& value, const std::string& place, std::chrono::microseconds& time) {
    std::int64_t count = 0;
    read(value, place, count);
    time = std::chrono::microseconds(count);
  }
  template <class T>
  static void read(const json::value& value, const std::string& place, std::optional<T>& field) {
    field.reset();
    if (!value.is_null()) read(value, place, field.emplace());
  }
  template <class T>
  static void read(const json::value& value, const std::string& place, std::vector<T>& items) {
    if (!value.is_array()) refuse(place);
    for (const json::value& item : value.get_array()) {
      const std::string own_place = place + "[" + std::to_string(items.size()) + "]";
      read(item, own_place, items.emplace_back());
    }
  }
  // A reason that this version does not have is counted no more.
  static void read(const json::value& value, const std::string& place, std::map<RecycleReason, std::uint64_t>& counts) {
    for (const auto& [name, count] : object_in(value, place))
      if (const auto reason = enumerator<RecycleReason>(name)) read(count, place, counts[*reason]);
  }
  static void read(const json::value& value, const std::string& place,
                   std::array<std::uint64_t, refusal_reasons>& counts) {
    const json::object& object = object_in(value, place);
    for (std::size_t i = 0; i < counts.size(); ++i)
      if (const json::value* count = object.if_contains(refusal_reason_names[i])) read(*count, place, counts[i]);
  }

  const json::object& object_;
  const std::string place_;
};

}  // namespace

SharedFormats own_formats() {
  return {.status_page = control::status_page_version,
          .connection_table = control::ConnectionTableHeader{}.version,
          .inbox = control::HandoverHeader{}.version};
}

std::string encode(const UpgradeState& state) { return json::serialize(Writer::value_of(state)); }

Result<UpgradeState> decode_upgrade_state(std::string_view text) {
  const std::string doing = "read the state of the running server: ";
  boost::system::error_code code;
  const json::value value = json::parse(text, code);
  if (code) return error_because(doing + "it is no JSON: " + code.message());
  try {
    UpgradeState state;
    Reader reader(value, "");
    fields(reader, state, &state);
    return state;
  } catch (const std::runtime_error& error) {
    return error_because(doing + error.what());
  }
}

std::vector<int> descriptors_of(const UpgradeState& state) {
  std::vector<int> descriptors{state.inbox_put, state.inbox_take};
  for (const auto& of_one_address : state.listeners)
    for (const SocketState& listener : of_one_address) descriptors.push_back(listener.socket);
  if (state.control_socket) descriptors.push_back(state.control_socket->socket);
  for (const WorkerUnderUpgrade& worker : state.pool.workers)
    descriptors.insert(descriptors.end(), {worker.pidfd, worker.channel, worker.status_page, worker.connection_table});
  return descriptors;
}

}  // namespace stint::supervisor
