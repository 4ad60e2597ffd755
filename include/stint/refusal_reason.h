// Why a request was refused, as a fixed word: in the log, in `stint status`, and the label of
// stint_bad_requests_total{reason}. server/http finds most of them, server/worker the rest; every one has its counter
// on the status page. What each says is in HTTP's terms; the status that goes with it is http::Refusal's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace stint {

// The names are the enumerators': one list makes both, so that they cannot part.
// clang-format off
#define STINT_REFUSAL_REASONS(REASON)                                                                                \
  /* lines and names */                                                                                              \
  REASON(bare_cr) REASON(bare_lf) REASON(nul) REASON(empty_lines) REASON(folded_line) REASON(blank_before_fields)    \
  REASON(blank_before_colon) REASON(empty_name) REASON(no_colon) REASON(name_byte) REASON(value_byte)                \
  REASON(two_authorizations) REASON(two_content_types) REASON(two_hosts) REASON(too_many_fields)                     \
  REASON(fields_too_large)                                                                                           \
  /* request line and Host */                                                                                        \
  REASON(request_line) REASON(request_line_too_long) REASON(method_byte) REASON(method_too_long) REASON(connect)     \
  REASON(target_byte) REASON(target_form) REASON(fragment) REASON(percent) REASON(no_version) REASON(version)        \
  REASON(version_unsupported) REASON(host) REASON(no_host) REASON(host_and_target)                                   \
  /* bodies */                                                                                                       \
  REASON(length) REASON(two_lengths) REASON(length_and_chunked) REASON(chunked_in_1_0) REASON(transfer_coding)       \
  REASON(transfer_coding_unknown) REASON(two_transfer_codings) REASON(expectation) REASON(body_too_large)            \
  REASON(chunk_size) REASON(chunk_size_line) REASON(chunk_extension) REASON(chunk_extension_too_long)                \
  REASON(chunk_end) REASON(trailer) REASON(trailer_forbidden) REASON(trailers_too_large)                             \
  /* the two readings of a head differ (second_reading.h) */                                                         \
  REASON(second_reading)                                                                                             \
  /* what proxies in front say: fields, and the PROXY protocol */                                                    \
  REASON(forwarded_schemes_disagree) REASON(no_proxy_header) REASON(proxy_untrusted) REASON(proxy_line) REASON(proxy_line_too_long)          \
  REASON(proxy_version) REASON(proxy_command) REASON(proxy_family) REASON(proxy_header_too_long)                     \
  REASON(proxy_addresses) REASON(proxy_tlvs) REASON(proxy_checksum)                                                  \
  /* the worker's */                                                                                                 \
  REASON(head_timeout) REASON(body_timeout) REASON(body_not_stored) REASON(handed_over_head) REASON(handed_over_body)
// clang-format on

enum class RefusalReason : std::uint8_t {
#define REASON(name) name,
  STINT_REFUSAL_REASONS(REASON)
#undef REASON
};

inline constexpr std::string_view refusal_reason_names[] = {
#define REASON(name) #name,
    STINT_REFUSAL_REASONS(REASON)
#undef REASON
};
inline constexpr std::size_t refusal_reasons = std::size(refusal_reason_names);

constexpr std::string_view text_of(RefusalReason reason) {
  return refusal_reason_names[static_cast<std::size_t>(reason)];
}

}  // namespace stint
