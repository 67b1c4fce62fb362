#pragma once
/// master.h5: joins the part files for people and their tools; our own reader takes only the records from it.
///
/// /fields/<name> is, in this order of preference,
///  - [V, extents...]           if all VNodes have equal shapes: f['fields/heat'][v] is VNode v's part;
///  - [sum of rows, extents...] joined along the first axis, if the other extents are equal (and for resizable
///    fields): f['fields/x'][o[v]:o[v+1]] with o = f['fields/x.offsets'];
///  - [sum of elements]         flat, with /fields/<name>.shapes [V, rank] and .offsets in elements.
/// /state and /messages are joined with .offsets [V + 1]; /digests is [V]; /records/{names,offsets,bytes} is not
/// joined.

#include "checkpoint/cut.hpp"
#include "checkpoint/part_file.hpp"

#include <span>
#include <string>
#include <vector>

namespace phoenix::checkpoint {

/// `parts` in the order of their VNodes, complete; they lie beside `path` under part_name(index).
[[nodiscard]] Result<void> write_master_file(const std::string& path, const CutDescription& cut,
                                             std::span<const PartTables> parts);

[[nodiscard]] Result<std::vector<Record>> read_records(const std::string& path);

}  // namespace phoenix::checkpoint
