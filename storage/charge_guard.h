#pragma once

#include <cstdint>

#include "storage/keyspace.h"

namespace quartet::storage {

/// Charges to the keyspace what a structure's memory() has changed by while the guard lived.
template <class Table>
class ChargeGuard {
 public:
  ChargeGuard(Keyspace& keyspace, const Table& table) : keyspace_(keyspace), table_(table), before_(table.memory()) {}
  ChargeGuard(const ChargeGuard&) = delete;
  ChargeGuard& operator=(const ChargeGuard&) = delete;
  ~ChargeGuard() { keyspace_.charge(static_cast<int64_t>(table_.memory()) - static_cast<int64_t>(before_)); }

 private:
  Keyspace& keyspace_;
  const Table& table_;
  const size_t before_;
};

}  // namespace quartet::storage
