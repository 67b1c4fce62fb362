#pragma once
/// PhoenixFlight HPC: applications address VNodes, a fixed logical name space, while processes come, go and die.

#include <phoenix/array.hpp>
#include <phoenix/domain.hpp>
#include <phoenix/error.hpp>
#include <phoenix/field.hpp>
#include <phoenix/placement.hpp>
#include <phoenix/reduction.hpp>
#include <phoenix/runtime.hpp>
#include <phoenix/space.hpp>
#include <phoenix/vnode.hpp>
#include <phoenix/world.hpp>
