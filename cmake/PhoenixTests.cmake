find_package(GTest REQUIRED)
include(GoogleTest)

# phoenix_tests_<label> builds the executables of one label only: sanitizer builds need no more than unit and sim.
foreach(label unit sim fault mpi model package lint)
  add_custom_target(phoenix_tests_${label})
endforeach()

# phoenix_test(<name> LABEL <unit|sim|fault|mpi|model|package|lint> SOURCES ... LINKS ... [TIMEOUT seconds])
# One GoogleTest executable; every TEST() in it becomes a ctest of its own with the given label.
function(phoenix_test name)
  cmake_parse_arguments(ARG "" "LABEL;TIMEOUT" "SOURCES;LINKS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 60)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests" CXX_EXTENSIONS OFF)
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}/tests" "${PROJECT_SOURCE_DIR}/core")
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gmock GTest::gtest_main phoenix_settings)
  add_dependencies(phoenix_tests_${ARG_LABEL} ${name})
  # PRE_TEST: a test program is asked for its tests when ctest runs, so that a build without running it is enough.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${ARG_LABEL} TIMEOUT ${ARG_TIMEOUT})
endfunction()
