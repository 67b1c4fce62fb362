#include "cg/matrix_market.hpp"

#include <functional>
#include <gmock/gmock.h>
#include <phoenix/error.hpp>

namespace cg {
namespace {

using testing::ElementsAre;
using testing::StartsWith;

std::string refusal(const std::function<void()>& call) {
    try {
        call();
    } catch (const phoenix::Error& error) {
        EXPECT_EQ(error.code(), phoenix::Errc::invalid_argument);
        return error.what();
    }
    return "nothing was refused";
}
std::string matrix_refusal(const std::string& text) {
    return refusal([&] { (void)parse_matrix(text, "a.mtx"); });
}

const std::string banner = "%%MatrixMarket matrix coordinate real symmetric\n";

TEST(MatrixMarket, ReadsBothTrianglesByRowsWithAscendingColumns) {
    const SparseRows matrix = parse_matrix(
        banner + "% a comment\n\n3 3 5\r\n3 3 3.5\n2 1 -1e0\n  1 1 +2.0\n%late\n3 2 -0.5\n2 2 4 \n", "a.mtx");
    EXPECT_EQ(matrix.rows(), 3U);
    EXPECT_THAT(matrix.row_begin, ElementsAre(0, 2, 5, 7));
    EXPECT_THAT(matrix.columns, ElementsAre(0, 1, 0, 1, 2, 1, 2));
    EXPECT_THAT(matrix.values, ElementsAre(2.0, -1.0, -1.0, 4.0, -0.5, -0.5, 3.5));
}

TEST(MatrixMarket, AcceptsAnyCaseInTheFirstLineAndAMissingLastNewline) {
    EXPECT_EQ(parse_matrix("%%matrixmarket MATRIX Coordinate Real SYMMETRIC\n1 1 1\n1 1 1", "a.mtx").rows(), 1U);
}

TEST(MatrixMarket, RefusesOtherKindsNamingTheWord) {
    EXPECT_THAT(matrix_refusal("%%MatrixMarket matrix coordinate real general\n"),
                StartsWith("a.mtx, line 1: the symmetry is 'general'"));
    EXPECT_THAT(matrix_refusal("%%MatrixMarket matrix coordinate complex symmetric\n"),
                StartsWith("a.mtx, line 1: the field is 'complex'"));
    EXPECT_THAT(matrix_refusal("%%MatrixMarket matrix coordinate pattern symmetric\n"),
                StartsWith("a.mtx, line 1: the field is 'pattern'"));
    EXPECT_THAT(matrix_refusal("%%MatrixMarket matrix array real symmetric\n"),
                StartsWith("a.mtx, line 1: the format is 'array'"));
    EXPECT_THAT(matrix_refusal("%%MatrixMarket vector coordinate real symmetric\n"),
                StartsWith("a.mtx, line 1: the object is 'vector'"));
    EXPECT_THAT(matrix_refusal("%%MatrixMarket matrix coordinate real\n"),
                StartsWith("a.mtx, line 1: the symmetry is missing"));
    EXPECT_THAT(matrix_refusal("3 3 1\n1 1 1\n"), StartsWith("a.mtx, line 1: does not begin with %%MatrixMarket"));
    EXPECT_THAT(matrix_refusal(""), StartsWith("a.mtx, line 1: the file is empty"));
}

TEST(MatrixMarket, NamesTheLineThatIsWrong) {
    EXPECT_THAT(matrix_refusal(banner), StartsWith("a.mtx, line 1: the file ends before"));
    EXPECT_THAT(matrix_refusal(banner + "%\n3 4 1\n"), StartsWith("a.mtx, line 3: 3 rows and 4 columns"));
    EXPECT_THAT(matrix_refusal(banner + "0 0 0\n"), StartsWith("a.mtx, line 2: the matrix has no rows"));
    EXPECT_THAT(matrix_refusal(banner + "2 2\n"), StartsWith("a.mtx, line 2: the number of entries is missing"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 -1\n"), StartsWith("a.mtx, line 2: the number of entries '-1'"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 1 7\n"), StartsWith("a.mtx, line 2: '7' follows"));
    EXPECT_THAT(matrix_refusal(banner + "5000000000 5000000000 1\n"),
                StartsWith("a.mtx, line 2: more than 2^32 - 1 rows"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 1 1\n\n2 3 1\n"),
                StartsWith("a.mtx, line 5: column 3 is not in 1 .. 2"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n0 1 1\n"), StartsWith("a.mtx, line 3: row 0 is not in 1 .. 2"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 2 1\n"),
                StartsWith("a.mtx, line 3: entry (1, 2) lies above the diagonal"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 1 1.0d0\n"),
                StartsWith("a.mtx, line 3: value '1.0d0' is not a number"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 1\n"), StartsWith("a.mtx, line 3: value is missing"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 1 nan\n"), StartsWith("a.mtx, line 3: value is not finite"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 1 1e999\n"), StartsWith("a.mtx, line 3: value '1e999'"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 1 1 0\n"), StartsWith("a.mtx, line 3: '0' follows the value"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 3\n1 1 1\n2 2 1\n"),
                StartsWith("a.mtx, line 4: the file ends after 2 of 3 entries"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 1\n1 1 1\n2 2 1\n"),
                StartsWith("a.mtx, line 4: more entries than the 1 announced"));
    EXPECT_THAT(matrix_refusal(banner + "2 2 4\n1 1 1\n2 1 1\n% x\n2 2 1\n2 1 5\n"),
                StartsWith("a.mtx, line 7: entry (2, 1) is there twice"));
}

TEST(MatrixMarket, DoesNotBelieveAHugeNumberOfEntries) {
    EXPECT_THAT(matrix_refusal(banner + "2 2 9000000000000000000\n1 1 1\n"),
                StartsWith("a.mtx, line 3: the file ends after 1 of"));
}

TEST(MatrixMarket, ReadsARightHandSide) {
    const std::string vector_banner = "%%MatrixMarket matrix array real general\n";
    const auto vector_refusal = [&](const std::string& text) {
        return refusal([&] { (void)parse_vector(text, "b.mtx", 3); });
    };
    EXPECT_THAT(parse_vector(vector_banner + "3 1\n1.5\n-2\n% c\n3\n", "b.mtx", 3), ElementsAre(1.5, -2.0, 3.0));
    EXPECT_THAT(vector_refusal(banner + "3 3 1\n"), StartsWith("b.mtx, line 1: the format is 'coordinate'"));
    EXPECT_THAT(vector_refusal(vector_banner + "3 2\n"), StartsWith("b.mtx, line 2: 2 columns"));
    EXPECT_THAT(vector_refusal(vector_banner + "4 1\n"), StartsWith("b.mtx, line 2: 4 rows, the matrix has 3"));
    EXPECT_THAT(vector_refusal(vector_banner + "3 1\n1\n2\n"),
                StartsWith("b.mtx, line 4: the file ends after 2 of 3 values"));
    EXPECT_THAT(vector_refusal(vector_banner + "3 1\n1\n2\n3\n4\n"), StartsWith("b.mtx, line 6: more values"));
}

TEST(MatrixMarket, SaysWhyAFileCannotBeRead) {
    EXPECT_THAT(refusal([] { (void)read_text("/absent/a.mtx"); }),
                StartsWith("cannot read '/absent/a.mtx': No such file"));
    EXPECT_THAT(refusal([] { (void)read_text("/"); }), StartsWith("cannot read '/': "));
}

}  // namespace
}  // namespace cg
