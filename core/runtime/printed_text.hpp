#pragma once
/// Text of steps: released by commits, put out by whoever has the VNode.

#include "memory/extent_pool.hpp"
#include "runtime/domain_layout.hpp"

namespace phoenix {

/// Puts out the text of the commit in force, unless that has been done. It is in the commit, so that it is not lost if
/// its executor dies before or while putting it out. A death between the write and the store of `printed` repeats it:
/// once is not possible outside our memory.
void put_out_text(const ExtentPool& pool, const DomainHeader& domain, VNodeRecord& record);

}  // namespace phoenix
