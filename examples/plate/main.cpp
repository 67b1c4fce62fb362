// Heat on a plate: a two-buffer field with a halo, edges exchanged as messages between neighbouring blocks.

#include "plate/options.hpp"
#include "plate/picture.hpp"
#include "plate/plate_file.hpp"
#include "plate/relax.hpp"
#include "support/digest.hpp"
#include "support/launch.hpp"
#include "support/output_file.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <phoenix/phoenix.hpp>
#include <vector>

namespace {

using plate::Block;
using plate::Decomposition;
using plate::Options;
using plate::Size;

constexpr double hot = 100;

// Everything that can be wrong is found here, before anything is computed, by one member for all.
Size prepare(const support::CommandLine<Options>& line) {
    const auto refuse = [](const std::string& sentence) {
        if (!sentence.empty()) throw phoenix::Error{phoenix::Errc::invalid_argument, sentence};
    };
    refuse(line.mistake);
    const Options& options = line.options;
    Size size = options.size;
    if (!options.input_file.empty()) {
        size = plate::read_size(options.input_file, options.input_dataset);
        refuse(plate::check_vnodes(size, options.vnodes));
    }
    if (!options.output_file.empty()) support::require_writable(options.output_file);
    if (!options.picture_file.empty()) support::require_writable(options.picture_file);
    return size;
}

void set_first_values(const Options& options, const Block& block, const phoenix::ArrayView<double>& heat) {
    if (!options.input_file.empty()) {
        plate::read_block(options.input_file, options.input_dataset, block, heat.data(), heat.stride(0));
        return;
    }
    for (std::uint64_t i = 0; i < block.rows; ++i)
        std::ranges::fill(heat.row(static_cast<std::ptrdiff_t>(i)), block.row + i == 0 ? hot : 0.0);
}

/// Sends the block's edges to its neighbours and receives theirs into the halo.
void exchange_edges(phoenix::VNode& self, phoenix::Field<double> heat, const Decomposition& grid) {
    const auto each_neighbour = [&](auto&& visit) {
        for (unsigned axis = 0; axis < 2; ++axis)
            for (const phoenix::Side side : {phoenix::Side::low, phoenix::Side::high})
                if (const auto neighbour = grid.neighbour(self.index(), axis, side)) visit(*neighbour, axis, side);
    };
    // The tag is the side of the receiver, so that it is named by who waits for it.
    const auto tag = [](unsigned axis, bool low) { return axis * 2 + (low ? 0U : 1U); };
    each_neighbour([&](std::uint32_t neighbour, unsigned axis, phoenix::Side side) {
        self.send(neighbour, tag(axis, side == phoenix::Side::high), self[heat].edge(axis, side));
    });
    each_neighbour([&](std::uint32_t neighbour, unsigned axis, phoenix::Side side) {
        self.receive(neighbour, tag(axis, side == phoenix::Side::low), self[heat].halo(axis, side));
    });
}

/// The points of `block` that change; those on the rim of the plate do not.
Block inner_part(Size size, const Block& block) {
    const std::uint64_t row_begin = std::max<std::uint64_t>(block.row, 1);
    const std::uint64_t column_begin = std::max<std::uint64_t>(block.column, 1);
    const std::uint64_t row_end = std::min(block.row + block.rows, size.rows - 1);
    const std::uint64_t column_end = std::min(block.column + block.columns, size.columns - 1);
    if (row_begin >= row_end || column_begin >= column_end) return {};
    return {row_begin, column_begin, row_end - row_begin, column_end - column_begin};
}

/// Copies what inner_part() leaves out: the rim belongs to `next` too.
void keep_rim(Size size, const Block& block, const phoenix::ArrayView<const double>& now,
              const phoenix::ArrayView<double>& next) {
    const auto rows = static_cast<std::ptrdiff_t>(block.rows);
    const auto columns = static_cast<std::ptrdiff_t>(block.columns);
    const auto keep_row = [&](std::ptrdiff_t i) { std::ranges::copy(now.row(i), next.row(i).begin()); };
    const auto keep_column = [&](std::ptrdiff_t j) {
        for (std::ptrdiff_t i = 0; i < rows; ++i) next(i, j) = now(i, j);
    };
    if (block.row == 0) keep_row(0);
    if (block.row + block.rows == size.rows) keep_row(rows - 1);
    if (block.column == 0) keep_column(0);
    if (block.column + block.columns == size.columns) keep_column(columns - 1);
}

/// One step of one block; returns the largest change if `measured`, else 0.
double relax_block(phoenix::VNode& self, phoenix::Field<double> heat, const Decomposition& grid, bool measured) {
    const Block block = grid.block(self.index());
    const Block inner = inner_part(grid.plate(), block);
    const phoenix::ArrayView<const double> now = self[heat].now();
    const phoenix::ArrayView<double> next = self[heat].next();
    keep_rim(grid.plate(), block, now, next);
    if (inner.rows == 0) return 0;
    const auto row = static_cast<std::ptrdiff_t>(inner.row - block.row);
    const auto column = static_cast<std::ptrdiff_t>(inner.column - block.column);
    const plate::Sweep sweep{&now(row, column), &next(row, column), now.stride(0),
                             next.stride(0),    inner.rows,         inner.columns};
    if (measured) return plate::relax_and_measure(sweep);
    plate::relax(sweep);
    return 0;
}

/// Row `i` of the whole plate, put together from the parts of a row of blocks.
class WholeRows {
  public:
    WholeRows(const phoenix::Gathered<double>& heat, const Decomposition& grid) : heat_(&heat), grid_(grid) {
        row_.resize(grid.plate().columns);
    }
    std::span<const double> operator()(std::uint64_t i) {
        while (i < grid_.block(block_row_ * grid_.block_columns()).row) --block_row_;
        while (i >= end_of(block_row_)) ++block_row_;
        for (std::uint32_t j = 0; j < grid_.block_columns(); ++j) {
            const std::uint32_t vnode = block_row_ * grid_.block_columns() + j;
            const Block block = grid_.block(vnode);
            std::ranges::copy((*heat_)[vnode].row(static_cast<std::ptrdiff_t>(i - block.row)),
                              row_.begin() + static_cast<std::ptrdiff_t>(block.column));
        }
        return row_;
    }

  private:
    [[nodiscard]] std::uint64_t end_of(std::uint32_t block_row) const {
        const Block block = grid_.block(block_row * grid_.block_columns());
        return block.row + block.rows;
    }

    const phoenix::Gathered<double>* heat_;
    Decomposition grid_;
    std::uint32_t block_row_{0};
    std::vector<double> row_;
};

/// Writes and prints what was asked for.
void report(const Options& options, const Decomposition& grid, const phoenix::RunResult& result,
            const phoenix::Gathered<double>& heat) {
    const Size size = grid.plate();
    WholeRows rows{heat, grid};
    const auto row = [&rows](std::uint64_t i) { return rows(i); };
    if (!options.output_file.empty())
        support::write_whole(options.output_file,
                             [&](const std::string& name) { plate::write_plate(name, size, row); });
    if (!options.picture_file.empty())
        support::write_whole(options.picture_file,
                             [&](const std::string& name) { plate::write_png(name, plate::draw(size, row)); });
    std::string text = fmt::format("plate {}x{} in {} blocks of {}x{}: {} steps{}\n", size.rows, size.columns,
                                   grid.vnodes(), grid.block(0).rows, grid.block(0).columns, result.steps,
                                   result.stopped ? ", tolerance reached" : "");
    if (options.digest) {
        support::Digest digest;
        for (std::uint64_t i = 0; i < size.rows; ++i) digest.add(row(i));
        text += fmt::format("digest: {}\n", digest.text());
    }
    fmt::print("{}", text);
}

}  // namespace

int main(int argc, char** argv) {
    const support::CommandLine<Options> line = plate::parse_options(argc, argv);
    if (!line.help.empty()) {
        fmt::print("{}", line.help);
        return 0;
    }
    phoenix::Runtime runtime{argc, argv, support::launch_world()};
    const Size size = runtime.once("prepare", [&] { return prepare(line); });
    const Options& options = line.options;
    const Decomposition grid = *plate::decompose(size, options.vnodes);

    auto domain = runtime.domain("plate", {.vnodes = options.vnodes, .commit_every = options.commit_every});
    const auto heat = domain.field<double>("heat",
                                           [grid](std::uint32_t v) {
                                               const Block block = grid.block(v);
                                               return phoenix::Shape{block.rows, block.columns};
                                           },
                                           {.buffers = 2, .halo = 1});

    domain.initialise(
        [&](phoenix::VNode& self) { set_first_values(options, grid.block(self.index()), self[heat].next()); });
    const bool measured = options.tolerance > 0;
    const phoenix::RunResult result = domain.run(options.steps, [&](phoenix::VNode& self) {
        exchange_edges(self, heat, grid);
        const double change = relax_block(self, heat, grid, measured);
        if (measured && self.all_reduce(phoenix::max, change) < options.tolerance) self.stop();
    });
    domain.gather(heat, [&](const phoenix::Gathered<double>& whole) { report(options, grid, result, whole); });
    return 0;
}
