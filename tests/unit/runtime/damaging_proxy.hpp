#pragma once
/// A TCP proxy that flips a bit of what it carries: transport's, for tests that also know the runtime's records.

#include <memory>
#include <string>

namespace phoenix::testing_tools {

class CuttingProxy;

class DamagingProxy {
  public:
    explicit DamagingProxy(const std::string& target);
    ~DamagingProxy();
    DamagingProxy(const DamagingProxy&) = delete;
    DamagingProxy& operator=(const DamagingProxy&) = delete;

    [[nodiscard]] const std::string& address() const;
    /// As CuttingProxy::damage_once().
    void damage_once();
    [[nodiscard]] bool has_damaged() const;

  private:
    std::unique_ptr<CuttingProxy> proxy_;
};

}  // namespace phoenix::testing_tools
