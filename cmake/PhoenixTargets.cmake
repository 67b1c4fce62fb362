# Settings of our own targets. They are applied with PRIVATE visibility only: a user's build never inherits them.

add_library(phoenix_settings INTERFACE)
target_compile_features(phoenix_settings INTERFACE cxx_std_20)
target_compile_options(phoenix_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wcast-align -Woverloaded-virtual
  -Wconversion -Wno-sign-conversion
  # At -O3 GCC 12 and 13 warn of an overlap inside std::string for "literal" + std::string (GCC bug 105651) and of a
  # buffer overflow inside fmt's inlined formatting of a single character. Both are wrong; the sanitizers look as well.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,14>>:-Wno-restrict;-Wno-stringop-overflow>
  $<$<BOOL:${PHOENIX_WERROR}>:-Werror>)
if(PHOENIX_SANITIZE)
  list(JOIN PHOENIX_SANITIZE "," phoenix_sanitize_flag)
  # The whole build is instrumented, so these are set globally and not on phoenix_settings.
  # Without -fno-sanitize-recover undefined behaviour is only printed and a test passes with it.
  add_compile_options(-fsanitize=${phoenix_sanitize_flag} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${phoenix_sanitize_flag})
  if(PHOENIX_SANITIZE MATCHES "thread" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC warns at every atomic_thread_fence that the sanitizer does not model it: what a fence alone orders has to be
    # atomic as well, or it is reported as a race.
    add_compile_options(-Wno-tsan)
  endif()
endif()

find_program(PHOENIX_CCACHE ccache)
if(PHOENIX_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER "${PHOENIX_CCACHE}")
endif()

# phoenix_layer(<name> SOURCES ... LINKS ...)
# One folder of core/ as an object library, so that a layer can be built and tested without those above it.
# Its objects are part of phoenixflight_core.
function(phoenix_layer name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_library(phoenix_${name} OBJECT ${ARG_SOURCES})
  set_target_properties(phoenix_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
  target_include_directories(phoenix_${name} PUBLIC
    "${PROJECT_SOURCE_DIR}/core" "${PROJECT_SOURCE_DIR}/core/include")
  target_link_libraries(phoenix_${name} PUBLIC ${ARG_LINKS} PRIVATE phoenix_settings)
  target_compile_features(phoenix_${name} PUBLIC cxx_std_20)
endfunction()
