#include "config/value_reader.h"

#include "config/listen_text.h"
#include "config/network_text.h"
#include "config/suggestion.h"
#include "config/text_rules.h"
#include "config/toml_text.h"
#include "config/units.h"
#include "stint/assert.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>
#include <thread>

namespace stint::config {
namespace {

// What stands there instead of what should.
std::string description(const toml::node& node) {
  if (const auto text = node.value_exact<std::string>()) return toml_string(*text);
  if (const auto number = node.value_exact<std::int64_t>()) return std::to_string(*number);
  if (const auto truth = node.value_exact<bool>()) return *truth ? "true" : "false";
  if (node.is_table()) return "a table";
  if (node.is_array()) return "an array";
  if (node.is_floating_point()) return "a number with a fraction";
  return "a date or time";
}

// The processors this process may run on: fewer than the machine's in a container or under taskset(1).
unsigned usable_processors(unsigned limit) {
  // The kernel wants a mask with a bit for each processor it could have; EINVAL: ours is too small.
  for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(CPU_ALLOC(bits), [](cpu_set_t* m) { CPU_FREE(m); });
    if (!mask) break;
    if (sched_getaffinity(0, CPU_ALLOC_SIZE(bits), mask.get()) == 0)
      return std::clamp<unsigned>(static_cast<unsigned>(CPU_COUNT_S(CPU_ALLOC_SIZE(bits), mask.get())), 1, limit);
    if (errno != EINVAL) break;
  }
  return std::clamp(std::thread::hardware_concurrency(), 1u, limit);  // 0 when it cannot be known
}

}  // namespace

void add_problem(Problems& problems, const Origin& origin, const toml::source_region& place, std::string what) {
  Problem problem{origin.name, 0, 0, std::move(what)};
  if (origin.has_positions) {
    problem.line = static_cast<unsigned>(place.begin.line);
    problem.column = static_cast<unsigned>(place.begin.column);
  }
  problems.push_back(std::move(problem));
}

struct ValueReader::ByKind {
  ValueReader& reader;
  const Key& key;
  const toml::node& node;
  const Origin& origin;

  void complain(const toml::node& at, const std::string& what) {
    add_problem(reader.problems_, origin, at.source(), "'" + std::string(key.path) + "' " + what);
  }
  void demand(const toml::node& at, const std::string& what) {
    complain(at, "must " + what + ", not " + description(at));
  }
  // The text of a node that has to be one.
  std::optional<std::string> text(const toml::node& at, const std::string& what) {
    auto value = at.value_exact<std::string>();
    if (!value) demand(at, what);
    return value;
  }
  // The value of a check, or its error as a problem.
  std::optional<std::string> checked(const toml::node& at, Result<std::string> result) {
    if (result.has_value()) return std::move(*result);
    complain(at, result.error().doing);
    return std::nullopt;
  }
  template <class Value>
  void store(In<Value> in, Value value) {
    in(reader.settings_) = std::move(value);
  }

  // A whole number within bounds; std::int64_t holds every bound of the table.
  std::optional<std::uint64_t> number(std::uint64_t min, std::uint64_t max, const std::string& or_else = {}) {
    const auto value = node.value_exact<std::int64_t>();
    if (value && *value >= 0 && static_cast<std::uint64_t>(*value) >= min && static_cast<std::uint64_t>(*value) <= max)
      return static_cast<std::uint64_t>(*value);
    demand(node, "be a whole number from " + std::to_string(min) + " to " + std::to_string(max) + or_else);
    return std::nullopt;
  }

  // One of some words, which have the enumerators' order. `meant`: of a word that is none of them, the one that was
  // meant, or "".
  template <class Value, std::size_t count, class Meant>
  void one_of(In<Value> in, const std::string_view (&names)[count], const std::string& what, Meant meant) {
    const auto written = text(node, what);
    if (!written) return;
    const auto found = std::ranges::find(names, *written);
    if (found != std::end(names)) return store(in, static_cast<Value>(found - std::begin(names)));
    const std::string_view other = meant(*written);
    complain(node, "must " + what + ", not " + toml_string(*written) +
                       (other.empty() ? "" : "; did you mean " + toml_string(other) + "?"));
  }

  // Durations and sizes: text with a unit, and 0 where that has a meaning.
  template <class KindOfValue, class Value, class Parse, class Meant>
  std::optional<Value> quantity(const KindOfValue& kind, Value zero, const std::string& example, Parse parse,
                                Meant meant) {
    const std::string what = "be " + example + (kind.zero_is_none ? " or 0" : "");
    if (kind.zero_is_none && node.value_exact<std::int64_t>() == 0) return zero;
    const auto written = text(node, what);
    if (!written) return std::nullopt;
    const std::optional<Value> value = parse(*written);
    if (!value) {
      const std::string guess = meant(*written);
      const bool helps = !guess.empty() && guess != *written;
      complain(node, "must " + what + ", not " + description(node) +
                         (helps ? "; did you mean " + toml_string(guess) + "?" : ""));
      return std::nullopt;
    }
    if (*value == zero && kind.zero_is_none) return zero;
    if (*value < kind.min) {
      demand(node, "be at least " + toml_string(text_of(kind.min)));
      return std::nullopt;
    }
    if (*value > kind.max) {
      demand(node, "be at most " + toml_string(text_of(kind.max)));
      return std::nullopt;
    }
    return value;
  }

  void operator()(const Text& kind) {
    const auto written = text(node, "be a string");
    if (!written) return;
    if (auto value = checked(node, apply_rule(kind.rule, *written, origin.folder, reader.checks_folders_)))
      store(kind.in, std::move(*value));
  }

  void operator()(const Number& kind) {
    const auto value = number(kind.min, kind.max);
    if (!value) return;
    std::visit([&]<class Value>(In<Value> in) { store(in, static_cast<Value>(*value)); }, kind.in);
  }

  void operator()(const Integer& kind) {
    const auto value = node.value_exact<std::int64_t>();
    if (value && *value >= kind.min && *value <= kind.max) return store(kind.in, static_cast<int>(*value));
    demand(node, "be a whole number from " + std::to_string(kind.min) + " to " + std::to_string(kind.max));
  }

  void operator()(const Limit& kind) {
    const auto word = node.value_exact<std::string>();
    if (word == "inherit") return store(kind.in, std::optional<std::uint64_t>());
    if (word == "unlimited") return store(kind.in, std::optional(LimitsSettings::unlimited));
    if (!kind.is_size) {
      if (const auto value = number(kind.min, kind.max, R"(, "unlimited" or "inherit")")) store(kind.in, value);
      return;
    }
    const Size bounds{nullptr, {kind.min}, {kind.max}, kind.min == 0};
    const auto size =
        quantity(bounds, Bytes{}, R"("unlimited", "inherit" or a size such as "1GiB" (units B, KiB, MiB, GiB))",
                 parse_size, meant_size);
    if (size) store(kind.in, std::optional(size->count));
  }

  void operator()(const Budget& kind) {
    if (node.value_exact<std::string>() == "auto") return store(kind.in, Bytes{});
    const Size bounds{nullptr, kind.min, kind.max, false};
    const auto size = quantity(bounds, Bytes{}, R"("auto" or a size such as "2GiB" (units B, KiB, MiB, GiB))",
                               parse_size, meant_size);
    if (size) store(kind.in, *size);
  }

  void operator()(const Mask& kind) {
    const std::string what = R"(be "" or octal digits such as "0027", from "0000" to "0077")";
    const auto written = text(node, what);
    if (!written) return;
    if (written->empty()) return store(kind.in, std::optional<unsigned>());
    const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
    const bool is_mask = (written->size() == 3 || written->size() == 4) && std::ranges::all_of(*written, is_octal);
    const unsigned long mask = is_mask ? std::stoul(*written, nullptr, 8) : 0;
    if (!is_mask || mask > 0077) return demand(node, what);
    store(kind.in, std::optional(static_cast<unsigned>(mask)));
  }

  void operator()(const Switch& kind) {
    if (const auto value = node.value_exact<bool>()) return store(kind.in, *value);
    demand(node, "be true or false");
  }

  void operator()(const WorkerCount& kind) {
    const char* const range = R"(, "auto" or a range such as { min = 2, max = 8 })";
    if (node.value_exact<std::string>() == "auto") return store(kind.in, usable_processors(kind.max));
    if (const toml::table* table = node.as_table()) {
      const auto min = (*table)["min"].value_exact<std::int64_t>();
      const auto max = (*table)["max"].value_exact<std::int64_t>();
      if (!min || !max || table->size() != 2 || *min < 1 || *max < *min || *max > kind.max)
        return complain(node, "as a range must have min and max, 1 <= min <= max <= " + std::to_string(kind.max) +
                                  ", such as { min = 2, max = 8 }");
      store(kind.in, static_cast<unsigned>(*min));
      return store(kind.max_in, *min == *max ? 0 : static_cast<unsigned>(*max));
    }
    if (const auto value = number(1, kind.max, range)) store(kind.in, static_cast<unsigned>(*value));
  }

  void operator()(const Time& kind) {
    const auto value = quantity(kind, Duration::zero(), R"(a duration such as "30s" (units ms, s, m, h))",
                                parse_duration, meant_duration);
    if (value) store(kind.in, *value);
  }

  void operator()(const Size& kind) {
    const auto value =
        quantity(kind, Bytes{}, R"(a size such as "64KiB" (units B, KiB, MiB, GiB))", parse_size, meant_size);
    if (value) store(kind.in, *value);
  }

  void operator()(const Level& kind) {
    one_of(kind.in, log_level_names, R"(be "debug", "info", "warning" or "error")", [](std::string_view written) {
      return written == "warn" ? std::string_view("warning") : nearest(written, log_level_names);
    });
  }

  void operator()(const Start& kind) {
    one_of(kind.in, start_mode_names, R"(be "fresh" or "fork")",
           [](std::string_view written) { return nearest(written, start_mode_names); });
  }

  void operator()(const Targets& kind) {
    const toml::array* items = node.as_array();
    if (!items) return demand(node, R"(be an array of strings, such as ["/"])");
    std::vector<std::string> targets;
    for (const toml::node& item : *items)
      if (const auto written = text(item, "hold strings"))
        if (auto target = checked(item, check_target(*written))) targets.push_back(std::move(*target));
    store(kind.in, std::move(targets));
  }

  void operator()(const Listeners& kind) {
    const toml::array* items = node.as_array();
    if (!items) return demand(node, R"(be an array of strings, such as ["127.0.0.1:8000"])");
    if (items->empty()) return complain(node, "must name at least one address");
    std::vector<ListenAddress> addresses;
    for (const toml::node& item : *items) {
      const auto written = text(item, "hold strings");
      if (!written) continue;
      if (written->find('\0') != written->npos) {
        complain(item, "must not contain a NUL character");
        continue;
      }
      auto address = parse_listen_address(*written, origin.folder);
      if (!address.has_value()) {
        complain(item, "is wrong: " + address.error().doing);
        continue;
      }
      using Family = ListenAddress::Family;
      // Port 0 is another port each time.
      const bool is_any_port =
          (address->family == Family::ipv4 || address->family == Family::ipv6) && address->port == 0;
      const auto takes_the_same = [&address](const ListenAddress& other) {
        return address->family == Family::inherited && other.family == Family::inherited &&
               (address->name.empty() || other.name.empty());
      };
      if (!is_any_port && std::ranges::find(addresses, *address) != addresses.end())
        complain(item, "names " + toml_string(address->text()) + " twice");
      else if (std::ranges::any_of(addresses, takes_the_same))
        complain(item, R"(names sockets beside "systemd", which takes all of them)");
      else
        addresses.push_back(std::move(*address));
    }
    store(kind.in, std::move(addresses));
  }

  void operator()(const Networks& kind) {
    const toml::array* items = node.as_array();
    if (!items) return demand(node, R"(be an array of strings, such as ["10.0.0.0/8"])");
    std::vector<Network> networks;
    for (const toml::node& item : *items) {
      const auto written = text(item, "hold strings");
      if (!written) continue;
      const auto network = parse_network(*written);
      if (!network.has_value()) {
        complain(item, "is wrong: " + network.error().doing);
      } else if (std::ranges::find(networks, *network) != networks.end()) {
        complain(item, "names " + toml_string(network->text()) + " twice");
      } else {
        networks.push_back(*network);
      }
    }
    store(kind.in, std::move(networks));
  }

  void operator()(const ForwardedFields& kind) {
    const toml::array* items = node.as_array();
    if (!items) return demand(node, R"(be an array of strings, such as ["X-Forwarded-For"])");
    std::vector<ForwardedField> fields;
    for (const toml::node& item : *items) {
      const auto written = text(item, "hold strings");
      if (!written) continue;
      const auto field = find_forwarded_field(*written);
      if (!field.has_value()) {
        complain(item, field.error().doing);
      } else if (std::ranges::find(fields, *field) != fields.end()) {
        complain(item, "names " + toml_string(*written) + " twice");
      } else {
        fields.push_back(*field);
      }
    }
    store(kind.in, std::move(fields));
  }

  void operator()(const Environment& kind) {
    const toml::table* table = node.as_table();
    if (!table) return demand(node, R"(be a table of strings, such as { NAME = "value" })");
    std::map<std::string, std::string> variables;
    for (const auto& [name, item] : *table) {
      const auto checked_name = checked(item, check_variable_name(name.str()));
      const auto value = item.value_exact<std::string>();
      if (!value)
        complain(item, "must hold strings: " + std::string(name.str()) + " is " + description(item));
      else if (value->find('\0') != value->npos)
        complain(item, "must not contain a NUL character");
      else if (checked_name)
        variables[*checked_name] = *value;
    }
    store(kind.in, std::move(variables));
  }

  void operator()(const StaticRoots& kind) {
    const toml::array* items = node.as_array();
    if (!items) {
      if (!node.is_table()) return demand(node, "be an array of tables: [[static]]");
      return complain(node, "is an array of tables: write [[static]], not [static]");
    }
    std::vector<StaticSettings> roots;
    for (const toml::node& item : *items) {
      const toml::table* table = item.as_table();
      if (!table) {
        demand(item, "hold tables: [[static]]");
        continue;
      }
      const StaticSettings root = static_root(*table);
      const auto has_same_url = [&](const StaticSettings& other) { return other.url == root.url; };
      if (!root.url.empty() && std::ranges::any_of(roots, has_same_url))
        complain(*table->get("url"), "has the url " + toml_string(root.url) + " twice");
      roots.push_back(root);
    }
    store(kind.in, std::move(roots));
  }

  StaticSettings static_root(const toml::table& table) {
    for (const auto& [name, item] : table) {
      // Bound to a name of its own: Clang before 16 captures no structured binding.
      const auto is_it = [written = name.str()](const StaticColumn& column) { return column.name == written; };
      if (std::ranges::any_of(static_columns, is_it)) continue;
      std::vector<std::string_view> names;
      for (const StaticColumn& column : static_columns) names.push_back(column.name);
      const std::string_view meant = nearest(name.str(), names);
      add_problem(reader.problems_, origin, name.source(),
                  "unknown key '" + std::string(name.str()) + "' in [[static]]" +
                      (meant.empty() ? "" : "; did you mean '" + std::string(meant) + "'?"));
    }
    StaticSettings root;
    for (const StaticColumn& column : static_columns) {
      const toml::node* item = table.get(column.name);
      if (const auto* in = std::get_if<bool StaticSettings::*>(&column.in)) {
        if (item) read_static_switch(*item, column, root.**in);
        continue;
      }
      if (!item) {
        complain(table, "needs '" + std::string(column.name) + "'");
        continue;
      }
      const auto in = std::get<std::string StaticSettings::*>(column.in);
      const auto written = text(*item, "have strings in '" + std::string(column.name) + "'");
      if (!written) continue;
      const bool is_url = in == &StaticSettings::url;
      auto value =
          checked(*item, is_url ? within(column, check_static_url(*written))
                                : within(column, check_folder(*written, origin.folder, reader.checks_folders_)));
      if (value) root.*in = std::move(*value);
    }
    return root;
  }

  void read_static_switch(const toml::node& item, const StaticColumn& column, bool& value) {
    const auto written = item.value_exact<bool>();
    if (!written) return demand(item, "have true or false in '" + std::string(column.name) + "'");
    value = *written;
  }

  // The error of a check, with the column's name in it.
  static Result<std::string> within(const StaticColumn& column, Result<std::string> result) {
    if (result.has_value()) return result;
    return error_because("has a wrong '" + std::string(column.name) + "': it " + result.error().doing);
  }
};

void ValueReader::read(const Key& key, const toml::node& node, const Origin& origin) {
  std::visit(ByKind{*this, key, node, origin}, key.kind);
}

}  // namespace stint::config
