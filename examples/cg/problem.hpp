#pragma once
/// The system to be solved, read from files when it is needed: a pure function of them, so that any process may read
/// it.

#include "cg/matrix_market.hpp"
#include "cg/options.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cg {

class Problem {
  public:
    explicit Problem(const Options& options) : options_(&options) {}

    /// Checked: enough rows for the VNodes, a positive diagonal. @error invalid_argument  It is not: says where.
    [[nodiscard]] const SparseRows& matrix();
    [[nodiscard]] const std::vector<double>& right_hand_side();
    /// Frees the memory; read again if needed again.
    void forget() noexcept;

  private:
    const Options* options_;
    std::optional<SparseRows> matrix_;
    std::vector<double> right_hand_side_;
};

}  // namespace cg
