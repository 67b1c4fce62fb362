/// Of its own, so that what the tests of the transport share stays apart from what those of the runtime do.

#include "unit/runtime/damaging_proxy.hpp"

#include "unit/transport/cutting_proxy.hpp"

namespace phoenix::testing_tools {

DamagingProxy::DamagingProxy(const std::string& target)
    : proxy_(std::make_unique<CuttingProxy>(target, CuttingProxy::Options{})) {}
DamagingProxy::~DamagingProxy() = default;
const std::string& DamagingProxy::address() const { return proxy_->address(); }
void DamagingProxy::damage_once() { proxy_->damage_once(); }
bool DamagingProxy::has_damaged() const { return proxy_->has_damaged(); }

}  // namespace phoenix::testing_tools
