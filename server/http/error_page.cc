#include "server/http/error_page.h"

namespace stint::http {
namespace {

constexpr std::string_view style =
    "body{margin:0;font:16px/1.5 system-ui,sans-serif;color:#222;background:#fff}"
    "header{padding:1.5rem 2rem;background:#8a1c1c;color:#fff}h1{margin:0;font-size:1.3rem;overflow-wrap:anywhere}"
    "header p{margin:.3rem 0 0;opacity:.85;overflow-wrap:anywhere}main{padding:1rem 2rem}"
    "pre{padding:1rem;background:#f4f4f4;overflow-x:auto;font:14px/1.5 ui-monospace,monospace}"
    "footer{padding:0 2rem 2rem;color:#666;font-size:.85rem}";

void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
}

}  // namespace

std::string error_page(const Request& request, std::string_view summary, std::string_view traceback) {
  std::string page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>";
  append_escaped(page, summary);
  page.append("</title><style>").append(style).append("</style></head>\n<body><header><h1>");
  append_escaped(page, summary);
  page += "</h1><p>";
  append_escaped(page, request.method);
  page += " ";
  append_escaped(page, request.target);
  page += "</p></header>\n<main><pre>";
  append_escaped(page, traceback.empty() ? summary : traceback);
  page += "</pre></main>\n<footer>Request ";
  append_escaped(page, request.id);
  page +=
      ". This page is shown because app.show_errors is on; visitors of a site must not see "
      "it.</footer></body></html>\n";
  return page;
}

}  // namespace stint::http
