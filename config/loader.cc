// TOML text and command line → Settings, in three steps: find the node that counts for each key (command line before
// file before environment before default), read each into its field, and say everything that is wrong at once.
#include "config/loader.h"

#include "config/account.h"
#include "config/listen_text.h"
#include "config/schema.h"
#include "config/text_rules.h"
#include "config/toml_text.h"
#include "config/units.h"
#include "config/unknown_key.h"
#include "config/value_reader.h"
#include "stint/assert.h"
#include "stint/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <list>
#include <tuple>

namespace stint::config {
namespace {

constexpr std::size_t largest_file = 4 << 20;  // a thousand times what anybody writes; keeps `-c /dev/zero` harmless

std::string folder_of(const std::string& file, const std::string& working_directory) {
  const auto slash = file.rfind('/');
  if (slash == file.npos) return working_directory;
  return absolute_path(std::string_view(file).substr(0, slash + 1), working_directory);
}

// "value = TEXT", when that is TOML and one value.
std::optional<toml::table> parse_value(const std::string& text) {
  try {
    toml::table table = toml::parse("value = " + text);
    if (table.size() == 1 && table.contains("value")) return table;
  } catch (const toml::parse_error&) {
    // The caller takes the text as a bare word, or says what it should have been.
  }
  return std::nullopt;
}

bool is_written_bare(const Kind& kind, const std::string& text) {
  if (text.starts_with('"') || text.starts_with('\'')) return false;
  if (std::holds_alternative<WorkerCount>(kind)) return text == "auto";
  if (std::holds_alternative<Budget>(kind)) return true;
  return std::holds_alternative<Text>(kind) || std::holds_alternative<Time>(kind) ||
         std::holds_alternative<Size>(kind) || std::holds_alternative<Level>(kind) ||
         std::holds_alternative<Start>(kind) || std::holds_alternative<Mask>(kind);
}

// A value of the command line as TOML: what needs no quotes gets them, a single item becomes a list.
std::optional<toml::table> parse_override(const Kind& kind, const std::string& text) {
  if (is_written_bare(kind, text)) return parse_value(toml_string(text));
  if (auto value = parse_value(text)) {
    return is_list_of_texts(kind) && value->get("value")->is_string() ? parse_value("[" + text + "]")
                                                                      : std::move(value);
  }
  if (text.starts_with('"') || text.starts_with('\'')) return std::nullopt;
  if (is_list_of_texts(kind)) return parse_value("[" + toml_string(text) + "]");
  return parse_value(toml_string(text));
}

// The first dotted part of the module, as a pool's name.
std::string name_from_module(std::string_view module) {
  std::string name(module.substr(0, module.find_first_of(".:")));
  for (char& c : name)
    if (static_cast<unsigned char>(c) > 0x7f) c = '_';
  return name.substr(0, 64);
}

class Loading {
 public:
  explicit Loading(const Input& input) : input_(input), command_line_{"command line", input.working_directory, false} {}

  std::variant<Loaded, Problems> run() {
    if (input_.source) {
      file_ = Origin{input_.source->file, folder_of(input_.source->file, input_.working_directory), true};
      if (!parse_file()) return problems_;
      find_keys(document_, "");
    }
    for (const Override& override : input_.overrides) take_override(override);
    for (const Key& key : keys()) read_key(key);
    take_variables();
    take_port();
    work_out_defaults();
    check_limits();
    check_refork();
    check_proxies();
    find_account();
    if (!problems_.empty()) {
      sort_problems();
      return problems_;
    }
    return std::move(loaded_);
  }

 private:
  // The node that counts for a key.
  struct Found {
    const toml::node* node;
    Origin origin;
  };

  bool parse_file() {
    try {
      document_ = toml::parse(input_.source->text);
      return true;
    } catch (const toml::parse_error& error) {
      add_problem(problems_, file_, error.source(), std::string(error.description()));
      return false;
    }
  }

  void find_keys(const toml::table& table, const std::string& table_path) {
    for (const auto& [name, node] : table) {
      const std::string path =
          table_path.empty() ? std::string(name.str()) : table_path + "." + std::string(name.str());
      // A quoted name with a dot in it would look like a path of ours.
      const bool is_plain = name.str().find('.') == std::string_view::npos;
      if (is_plain && find_key(path)) {
        found_[path] = Found{&node, file_};
      } else if (is_plain && !path.empty() && is_table(path)) {
        if (const toml::table* inner = node.as_table())
          find_keys(*inner, path);
        else
          add_problem(problems_, file_, node.source(), "'" + path + "' must be one table: write [" + path + "]");
      } else {
        add_problem(problems_, file_, name.source(),
                    unknown_in_file(table_path, name.str(), node.is_table() || node.is_array_of_tables()));
      }
    }
  }

  void take_override(const Override& override) {
    Origin origin = command_line_;
    origin.name = override.origin;
    const Key* key = find_key(override.key);
    const bool is_variable = !key && override.key.starts_with("app.env.");
    if (!key && !is_variable) {
      add_problem(problems_, origin, {}, unknown_on_command_line(override.key));
      return;
    }
    auto value = parse_override(is_variable ? Kind{Text{}} : key->kind, override.value);
    if (!value) {
      add_problem(problems_, origin, {}, "'" + override.key + "' has a value that is no TOML: " + override.value);
      return;
    }
    values_.push_back(std::move(*value));
    const toml::node* node = values_.back().get("value");
    if (is_variable)
      variables_.emplace_back(override.key.substr(std::string_view("app.env.").size()), Found{node, origin});
    else
      found_[override.key] = Found{node, origin};
  }

  void read_key(const Key& key) {
    const std::string path(key.path);
    ValueReader reader(loaded_.settings, problems_, input_.check_folders);
    const auto found = found_.find(path);
    if (found != found_.end()) {
      const auto& [node, origin] = found->second;
      reader.read(key, *node, origin);
      loaded_.origins[path] =
          origin.has_positions ? origin.name + ":" + std::to_string(node->source().begin.line) : origin.name;
      return;
    }
    loaded_.origins[path] = "default";
    if (key.default_text.empty()) return;
    const auto value = parse_value(std::string(key.default_text));
    STINT_ASSERT(value.has_value());
    reader.read(key, *value->get("value"), Origin{"default", "/", false});
  }

  // --set app.env.NAME=VALUE: laid over the table of the file.
  void take_variables() {
    for (const auto& [name, found] : variables_) {
      const auto checked_name = check_variable_name(name);
      const auto text = found.node->value_exact<std::string>();
      if (!checked_name.has_value()) {
        add_problem(problems_, found.origin, {}, "'app.env' " + checked_name.error().doing);
      } else if (!text || text->find('\0') != text->npos) {
        add_problem(problems_, found.origin, {}, "'app.env." + name + "' must be a string without NUL characters");
      } else {
        loaded_.settings.app.env[name] = *text;
        std::string& origin = loaded_.origins["app.env"];
        origin = origin == "default" ? found.origin.name : origin + ", " + found.origin.name;
      }
    }
  }

  void take_port() {
    if (!input_.port || found_.contains("listen")) return;
    const auto port = parse_port(*input_.port);
    if (!port.has_value()) {
      problems_.push_back({"environment PORT", 0, 0, port.error().doing});
      return;
    }
    loaded_.settings.listen = {ListenAddress{ListenAddress::Family::ipv4, "0.0.0.0", *port, {}}};
    loaded_.origins["listen"] = "environment PORT";
  }

  void work_out_defaults() {
    AppSettings& app = loaded_.settings.app;
    const toml::node* table = document_.get("app");
    const bool is_told_already = table && !table->is_table();
    if (!found_.contains("app.module") && !is_told_already)
      add_problem(problems_, input_.source ? file_ : Origin{"", "", false},
                  table ? table->source() : toml::source_region{},
                  "'app.module' is not set: give MODULE:CALLABLE, or write module = \"…\" under [app]");
    if (!found_.contains("app.name")) app.name = name_from_module(app.module);
    if (!found_.contains("app.directory"))
      app.directory = input_.source ? file_.folder : absolute_path(input_.working_directory, "/");
  }

  // A worker over max_rss finishes its requests first, which it could not if it had been killed before.
  void check_limits() {
    const RecycleSettings& recycle = loaded_.settings.app.recycle;
    if (recycle.kill_rss.count == 0 || recycle.max_rss.count == 0 || recycle.kill_rss > recycle.max_rss) return;
    const auto& [node, origin] = found_.at("app.recycle.kill_rss");
    add_problem(problems_, origin, node->source(),
                "'app.recycle.kill_rss' must be larger than 'app.recycle.max_rss', which is " +
                    toml_string(text_of(recycle.max_rss)));
  }

  void check_refork() {
    const AppSettings& app = loaded_.settings.app;
    if (app.recycle.refork_after == 0 || app.workers.start == StartMode::fork) return;
    const auto& [node, origin] = found_.at("app.recycle.refork_after");
    add_problem(problems_, origin, node->source(),
                "'app.recycle.refork_after' has a meaning only with 'app.workers.start' = \"fork\"");
  }

  // Of nobody's word to make something of, nothing can come.
  void check_proxies() {
    const auto trusted = found_.find("proxy.trusted");
    // Whoever wrote something that cannot be is told that already.
    if (trusted != found_.end() && !(trusted->second.node->is_array() && trusted->second.node->as_array()->empty()))
      return;
    const auto demand_trusted = [&](const std::string& key) {
      const auto& [node, origin] = found_.at(key);
      add_problem(problems_, origin, node->source(),
                  "'" + key +
                      "' counts only for trusted peers, and 'proxy.trusted' names none: name the proxies that connect, "
                      "such as trusted = [\"127.0.0.1\"]");
    };
    if (loaded_.settings.proxy.protocol) demand_trusted("proxy.protocol");
    if (!loaded_.settings.proxy.user_header.empty()) demand_trusted("proxy.user_header");
  }

  void complain_about(const std::string& key, const std::string& what) {
    const auto& [node, origin] = found_.at(key);
    add_problem(problems_, origin, node->source(), "'" + key + "' " + what);
  }

  void find_account() {
    AppSettings& app = loaded_.settings.app;
    if (app.user.empty() && !app.group.empty())
      complain_about("app.group", "counts only together with 'app.user': name the user as well, or leave it out");
    if (app.user.empty() || !input_.find_account) return;
    std::optional<gid_t> gid;
    if (!app.group.empty()) {
      const auto group = find_group(app.group);
      if (!group.has_value()) return complain_about("app.group", group.error().text());
      gid = *group;
    }
    auto account = find_user(app.user, gid);
    if (!account.has_value()) return complain_about("app.user", account.error().text());
    if (account->uid == 0)
      return complain_about("app.user", "names root, which is what it is there to avoid: name another user");
    check_own_rights(*account);
    app.account = std::move(*account);
  }

  // Whoever is not root can only be told to stay what it is.
  void check_own_rights(const Account& account) {
    if (::geteuid() == 0) return;
    const std::string who = "may be another than that of Stint only when root starts it, and this is uid ";
    if (account.uid != ::geteuid())
      complain_about("app.user", "is " + account.text() + ", which " + who + std::to_string(::geteuid()) +
                                     ": start Stint as root, or as that user");
    else if (!loaded_.settings.app.group.empty() && account.gid != ::getegid())
      complain_about("app.group", "is gid " + std::to_string(account.gid) + ", which " + who +
                                      std::to_string(::geteuid()) + " with gid " + std::to_string(::getegid()) +
                                      ": start Stint as root, or leave 'app.group' out");
  }

  // In the order of the file; what has no place in it comes last, in the order of the command line.
  void sort_problems() {
    const auto place = [](const Problem& problem) {
      return std::tuple(problem.line == 0, problem.line, problem.column);
    };
    std::ranges::stable_sort(problems_, {}, place);
  }

  const Input& input_;
  const Origin command_line_;
  Origin file_;
  toml::table document_;
  std::list<toml::table> values_;  // of the command line; found_ points into them
  std::map<std::string, Found> found_;
  std::vector<std::pair<std::string, Found>> variables_;  // app.env.NAME of the command line
  Problems problems_;
  Loaded loaded_;
};

}  // namespace

std::string Problem::text() const {
  std::string place = file;
  if (line > 0) place += ":" + std::to_string(line) + ":" + std::to_string(column);
  return place.empty() ? what : place + ": " + what;
}

Result<Source> read_source(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return system_error("read " + path);
  Source source{path, {}};
  char buffer[16384];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("read " + path);
    if (got == 0) return source;
    source.text.append(buffer, static_cast<std::size_t>(got));
    if (source.text.size() > largest_file) return error_because("read " + path + ": too large for a settings file");
  }
}

std::variant<Loaded, Problems> load(const Input& input) { return Loading(input).run(); }

}  // namespace stint::config
