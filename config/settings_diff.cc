#include "config/settings_diff.h"

#include "config/schema.h"
#include "config/toml_text.h"

namespace stint::config {
namespace {

// Where every kind's value is, whatever its type.
struct Copy {
  const Settings& from;
  Settings& to;

  template <class Value>
  void copy(In<Value> in) const {
    in(to) = value_of(in, from);
  }
  void operator()(const Number& kind) const {
    std::visit([this](auto in) { copy(in); }, kind.in);
  }
  template <class AnyKind>
  void operator()(const AnyKind& kind) const {
    copy(kind.in);
  }
};

}  // namespace

std::vector<SettingsChange> settings_changes(const Settings& from, const Settings& to) {
  std::vector<SettingsChange> changes;
  for (const Key& key : keys()) {
    std::string before = value_text(key.kind, from), after = value_text(key.kind, to);
    if (before == after) continue;
    // Passwords are often there, and changes are logged.
    if (std::holds_alternative<Environment>(key.kind)) before = "(values not shown)", after = "(values not shown)";
    changes.push_back({std::string(key.path), std::move(before), std::move(after), key.change});
  }
  return changes;
}

void keep_what_needs_a_restart(const Settings& current, Settings& fresh) {
  for (const Key& key : keys())
    if (key.change == ChangeCost::restart) std::visit(Copy{current, fresh}, key.kind);
}

}  // namespace stint::config
