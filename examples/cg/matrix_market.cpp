#include "cg/matrix_market.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <phoenix/error.hpp>
#include <tuple>
#include <type_traits>
#include <utility>

namespace cg {

namespace {

/// Lines of a text, counted from 1, and the fields of the present one.
class Reader {
  public:
    Reader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

    /// Goes to the next line; false at the end of the text.
    bool next_line() {
        if (rest_.empty()) return false;
        const std::size_t end = std::min(rest_.find('\n'), rest_.size());
        line_ = rest_.substr(0, end);
        rest_.remove_prefix(std::min(end + 1, rest_.size()));
        ++number_;
        return true;
    }
    /// Goes to the next line that is neither blank nor a comment.
    bool next_data_line() {
        while (next_line()) {
            skip_blanks();
            if (!line_.empty() && line_.front() != '%') return true;
        }
        return false;
    }

    std::string_view word() {
        skip_blanks();
        const auto end = std::find_if(line_.begin(), line_.end(), [](char c) { return is_blank(c); });
        const std::string_view result = line_.substr(0, static_cast<std::size_t>(end - line_.begin()));
        line_.remove_prefix(result.size());
        return result;
    }

    template <typename Number>
    Number number(const char* what) {
        const std::string_view text = word();
        if (text.empty()) refuse(fmt::format("{} is missing", what));
        // from_chars takes no plus sign, which Fortran programs like to write.
        const std::size_t sign = text.front() == '+' && text.size() > 1 ? 1 : 0;
        Number value{};
        const auto [end, error] = std::from_chars(text.data() + sign, text.data() + text.size(), value);
        if (error != std::errc{} || end != text.data() + text.size())
            refuse(
                fmt::format("{} '{}' is not {}", what, text,
                            std::is_integral_v<Number> ? "a whole number from 0 on" : "a number that fits a double"));
        return value;
    }
    double finite(const char* what) {
        const auto value = number<double>(what);
        if (!std::isfinite(value)) refuse(fmt::format("{} is not finite", what));
        return value;
    }

    void end_of_line(const char* expected) {
        skip_blanks();
        if (!line_.empty()) refuse(fmt::format("'{}' follows {}", line_, expected));
    }

    [[nodiscard]] std::uint64_t line() const noexcept { return number_; }
    [[noreturn]] void refuse(const std::string& what) const { refuse_at(number_, what); }
    [[noreturn]] void refuse_at(std::uint64_t line, const std::string& what) const {
        throw phoenix::Error{phoenix::Errc::invalid_argument, fmt::format("{}, line {}: {}", name_, line, what)};
    }

  private:
    static bool is_blank(char c) noexcept { return c == ' ' || c == '\t' || c == '\r'; }
    void skip_blanks() noexcept {
        while (!line_.empty() && is_blank(line_.front())) line_.remove_prefix(1);
    }

    std::string_view rest_;
    std::string name_;
    std::string_view line_;
    std::uint64_t number_{0};
};

std::string lower(std::string_view text) {
    std::string result{text};
    std::ranges::transform(result, result.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return result;
}

/// Checks the first line word by word, so that the message names the word that is wrong.
void read_banner(Reader& reader, const std::array<const char*, 4>& wanted) {
    if (!reader.next_line()) reader.refuse_at(1, "the file is empty");
    if (lower(reader.word()) != "%%matrixmarket")
        reader.refuse("does not begin with %%MatrixMarket: this is no Matrix Market file");
    static constexpr std::array<const char*, 4> roles{"object", "format", "field", "symmetry"};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const std::string word = lower(reader.word());
        if (word.empty()) reader.refuse(fmt::format("the {} is missing, wanted is '{}'", roles[i], wanted[i]));
        if (word != wanted[i])
            reader.refuse(fmt::format("the {} is '{}', only '{}' is supported", roles[i], word, wanted[i]));
    }
    reader.end_of_line("the symmetry");
}

struct Entry {
    std::uint32_t row;
    std::uint32_t column;
    double value;
};

struct LowerTriangle {
    std::uint64_t rows{0};
    std::vector<Entry> entries;
};

std::uint32_t read_index(Reader& reader, const char* what, std::uint64_t rows) {
    const auto index = reader.number<std::uint64_t>(what);
    if (index < 1 || index > rows) reader.refuse(fmt::format("{} {} is not in 1 .. {}", what, index, rows));
    return static_cast<std::uint32_t>(index - 1);
}

LowerTriangle read_entries(Reader& reader, std::size_t text_size) {
    read_banner(reader, {"matrix", "coordinate", "real", "symmetric"});
    if (!reader.next_data_line()) reader.refuse("the file ends before the line with rows, columns and entries");
    LowerTriangle triangle;
    triangle.rows = reader.number<std::uint64_t>("the number of rows");
    const auto columns = reader.number<std::uint64_t>("the number of columns");
    const auto count = reader.number<std::uint64_t>("the number of entries");
    reader.end_of_line("the number of entries");
    if (triangle.rows != columns)
        reader.refuse(fmt::format("{} rows and {} columns: a symmetric matrix is square", triangle.rows, columns));
    if (triangle.rows == 0) reader.refuse("the matrix has no rows");
    if (triangle.rows > std::numeric_limits<std::uint32_t>::max())
        reader.refuse("more than 2^32 - 1 rows are not supported");
    // A line holds at least "1 1 0": a wrong count must not make us ask for all the memory there is.
    triangle.entries.reserve(std::min<std::uint64_t>(count, text_size / 6 + 1));
    while (reader.next_data_line()) {
        if (triangle.entries.size() == count) reader.refuse(fmt::format("more entries than the {} announced", count));
        const std::uint32_t row = read_index(reader, "row", triangle.rows);
        const std::uint32_t column = read_index(reader, "column", triangle.rows);
        const double value = reader.finite("value");
        reader.end_of_line("the value");
        if (column > row)
            reader.refuse(
                fmt::format("entry ({}, {}) lies above the diagonal; a symmetric file holds the lower triangle only",
                            row + 1, column + 1));
        triangle.entries.push_back({row, column, value});
    }
    if (triangle.entries.size() < count)
        reader.refuse(fmt::format("the file ends after {} of {} entries", triangle.entries.size(), count));
    return triangle;
}

/// Both triangles by rows; the columns of a row in the order of the file.
SparseRows both_triangles(const LowerTriangle& triangle) {
    SparseRows result;
    result.row_begin.assign(triangle.rows + 1, 0);
    for (const Entry& entry : triangle.entries) {
        ++result.row_begin[entry.row + 1];
        if (entry.row != entry.column) ++result.row_begin[entry.column + 1];
    }
    for (std::uint64_t row = 0; row < triangle.rows; ++row) result.row_begin[row + 1] += result.row_begin[row];
    result.columns.resize(result.row_begin.back());
    result.values.resize(result.row_begin.back());
    std::vector<std::uint64_t> next(result.row_begin.begin(), result.row_begin.end() - 1);
    const auto put = [&](std::uint32_t row, std::uint32_t column, double value) {
        const std::uint64_t place = next[row]++;
        result.columns[place] = column;
        result.values[place] = value;
    };
    for (const Entry& entry : triangle.entries) {
        put(entry.row, entry.column, entry.value);
        if (entry.row != entry.column) put(entry.column, entry.row, entry.value);
    }
    return result;
}

void sort_columns(SparseRows& matrix) {
    std::vector<std::pair<std::uint32_t, double>> row_entries;
    for (std::uint64_t row = 0; row < matrix.rows(); ++row) {
        const std::uint64_t begin = matrix.row_begin[row];
        const std::uint64_t end = matrix.row_begin[row + 1];
        const std::uint32_t* columns = matrix.columns.data();
        if (std::is_sorted(columns + begin, columns + end)) continue;
        row_entries.clear();
        for (std::uint64_t i = begin; i < end; ++i) row_entries.emplace_back(matrix.columns[i], matrix.values[i]);
        std::ranges::stable_sort(row_entries, {}, &std::pair<std::uint32_t, double>::first);
        for (std::uint64_t i = begin; i < end; ++i)
            std::tie(matrix.columns[i], matrix.values[i]) = row_entries[i - begin];
    }
}

/// Line of the second entry (row, column). Reads the text again: a duplicate is rare, and lines need not be remembered.
std::uint64_t second_line_of(std::string_view text, const std::string& name, std::uint32_t row, std::uint32_t column) {
    Reader reader{text, name};
    reader.next_data_line();  // the line of sizes; the banner is a comment to it
    for (unsigned seen = 0; reader.next_data_line();) {
        const bool same = reader.number<std::uint64_t>("row") == row + 1ULL &&
                          reader.number<std::uint64_t>("column") == column + 1ULL;
        if (same && ++seen == 2) break;
    }
    return reader.line();
}

}  // namespace

SparseRows parse_matrix(std::string_view text, const std::string& name) {
    Reader reader{text, name};
    SparseRows matrix = both_triangles(read_entries(reader, text.size()));
    sort_columns(matrix);
    for (std::uint64_t row = 0; row < matrix.rows(); ++row)
        for (std::uint64_t i = matrix.row_begin[row] + 1; i < matrix.row_begin[row + 1]; ++i) {
            const std::uint32_t column = matrix.columns[i];
            if (column != matrix.columns[i - 1]) continue;
            const auto low = std::max(static_cast<std::uint32_t>(row), column);
            const auto high = std::min(static_cast<std::uint32_t>(row), column);
            reader.refuse_at(second_line_of(text, name, low, high),
                             fmt::format("entry ({}, {}) is there twice", low + 1, high + 1));
        }
    return matrix;
}

std::vector<double> parse_vector(std::string_view text, const std::string& name, std::uint64_t rows) {
    Reader reader{text, name};
    read_banner(reader, {"matrix", "array", "real", "general"});
    if (!reader.next_data_line()) reader.refuse("the file ends before the line with rows and columns");
    const auto length = reader.number<std::uint64_t>("the number of rows");
    const auto columns = reader.number<std::uint64_t>("the number of columns");
    reader.end_of_line("the number of columns");
    if (columns != 1) reader.refuse(fmt::format("{} columns: a right-hand side has one", columns));
    if (length != rows) reader.refuse(fmt::format("{} rows, the matrix has {}", length, rows));
    std::vector<double> values;
    values.reserve(rows);
    while (reader.next_data_line()) {
        if (values.size() == rows) reader.refuse(fmt::format("more values than the {} announced", rows));
        values.push_back(reader.finite("value"));
        reader.end_of_line("the value");
    }
    if (values.size() < rows) reader.refuse(fmt::format("the file ends after {} of {} values", values.size(), rows));
    return values;
}

std::string read_text(const std::string& name) {
    const auto refuse = [&name] {
        throw phoenix::Error{phoenix::Errc::invalid_argument,
                             fmt::format("cannot read '{}': {}", name, std::strerror(errno))};
    };
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(name.c_str(), "rbe"), &std::fclose};
    if (file == nullptr) refuse();
    std::string text;
    std::size_t length = 0;
    do {
        const std::size_t piece = std::max<std::size_t>(length, std::size_t{1} << 16);
        text.resize(length + piece);
        const std::size_t got = std::fread(text.data() + length, 1, piece, file.get());
        length += got;
        if (std::ferror(file.get()) != 0) refuse();
    } while (std::feof(file.get()) == 0);
    text.resize(length);
    return text;
}

}  // namespace cg
