#include "server/supervisor/worker_state.h"

#include "tests/support/catch.h"

using namespace stint::supervisor;

TEST_CASE("a worker's life goes as it is drawn", "[supervisor]") {
  using S = WorkerState;
  using E = WorkerEvent;
  struct Row {
    S state;
    E event;
    std::optional<S> next;
  };
  const Row table[] = {
      {S::booting, E::imported, S::warming},          {S::booting, E::warmed_up, S::ready},
      {S::booting, E::told_to_retire, S::retiring},   {S::booting, E::exited, S::dead},
      {S::warming, E::imported, std::nullopt},        {S::warming, E::warmed_up, S::ready},
      {S::warming, E::told_to_retire, S::retiring},   {S::warming, E::exited, S::dead},
      {S::ready, E::imported, std::nullopt},          {S::ready, E::warmed_up, std::nullopt},
      {S::ready, E::told_to_retire, S::retiring},     {S::ready, E::exited, S::dead},
      {S::retiring, E::imported, S::retiring},        {S::retiring, E::warmed_up, S::retiring},
      {S::retiring, E::told_to_retire, std::nullopt}, {S::retiring, E::exited, S::dead},
      {S::dead, E::imported, std::nullopt},           {S::dead, E::warmed_up, std::nullopt},
      {S::dead, E::told_to_retire, std::nullopt},     {S::dead, E::exited, std::nullopt},
  };
  for (const Row& row : table) {
    CAPTURE(text_of(row.state), static_cast<int>(row.event));
    CHECK(next(row.state, row.event) == row.next);
  }
}
