#include "config/schema.h"

#include "config/suggestion.h"
#include "tests/unit/config/loading.h"

#include <boost/json/parse.hpp>

#include <set>

namespace stint::config {
namespace {

namespace json = boost::json;

// The description of a key in the JSON Schema.
const json::object* schema_of(const json::value& schema, std::string path) {
  const json::object* object = &schema.as_object();
  while (!path.empty()) {
    const std::string part = path.substr(0, path.find('.'));
    path.erase(0, part.size() + 1);
    const json::value* properties = object->if_contains("properties");
    const json::value* below = properties ? properties->as_object().if_contains(part) : nullptr;
    if (!below) return nullptr;
    object = &below->as_object();
  }
  return object;
}

}  // namespace

TEST_CASE("every key has its own path, a table, a help and a default or an example", "[config]") {
  std::set<std::string_view> paths;
  for (const Key& key : keys()) {
    CAPTURE(key.path);
    CHECK(paths.insert(key.path).second);
    CHECK((is_table(key.table())));
    CHECK(!key.help.empty());
    CHECK(key.default_text.empty() != key.example.empty());
    CHECK(find_key(key.path) == &key);
  }
}

TEST_CASE("config/default.toml is what `stint config default` prints", "[config]") {
  const auto file = read_source(STINT_SOURCE_DIR "/config/default.toml");
  REQUIRE(file.has_value());
  CHECK(file->text == default_toml());
}

TEST_CASE("the default file changes nothing", "[config]") {
  Input input = input_of(default_toml());
  input.overrides = {{"app.module", "a:b", "command line"}};
  Input empty = input_of("");
  empty.overrides = input.overrides;
  CHECK(settings_of(input) == settings_of(empty));
}

TEST_CASE("the examples of the default file are possible values", "[config]") {
  // Every commented line that looks like a key or a table is taken in.
  std::string text = default_toml(), toml;
  while (!text.empty()) {
    std::string line = text.substr(0, text.find('\n') + 1);
    text.erase(0, line.size());
    for (const char* commented :
         {"# name = ", "# module = ", "# directory = ", "# [[static]]", "# url = ", "# root = ", "# internal = "})
      if (line.starts_with(commented)) line.erase(0, 2);
    toml += line;
  }
  const Settings settings = settings_of(input_of(toml));
  CHECK(settings.app.module == "mysite.wsgi:application");
  CHECK(settings.static_roots == std::vector<StaticSettings>{{"/static/", "/srv/mysite/static"}});
}

TEST_CASE("the JSON Schema is JSON and describes every key", "[config]") {
  const json::value schema = json::parse(json_schema());
  CHECK(schema.at("$schema") == "https://json-schema.org/draft/2020-12/schema");
  CHECK(schema.at("additionalProperties") == false);
  for (const Key& key : keys()) {
    CAPTURE(key.path);
    const json::object* object = schema_of(schema, std::string(key.path));
    REQUIRE(object != nullptr);
    CHECK(object->at("description").as_string() == key.help);
    CHECK((object->contains("type") || object->contains("anyOf") || object->contains("enum")));
    CHECK(object->contains("default") == !key.default_text.empty());
  }
  CHECK(schema_of(schema, "app.workers.count")->at("anyOf").as_array().at(0).at("maximum") == 1024);
  CHECK(schema_of(schema, "http.max_header_fields")->at("default") == 100);
  CHECK(schema_of(schema, "static")->at("items").at("required").as_array().size() == 2);
}

TEST_CASE("a swap of neighbours is one slip", "[config]") {
  CHECK(edit_distance("count", "cuont") == 1);
  CHECK(edit_distance("count", "cont") == 1);
  CHECK(edit_distance("", "abc") == 3);
  CHECK(edit_distance("abc", "abc") == 0);
  const std::string_view words[] = {"listen", "level"};
  CHECK(nearest("lisetn", words) == "listen");
  CHECK(nearest("xy", words).empty());
}

}  // namespace stint::config
