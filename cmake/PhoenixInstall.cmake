# Install rules and the CMake package PhoenixFlight: targets phoenixflight::core and, when built in, phoenixflight::mpi.
include(CMakePackageConfigHelpers)

set(PHOENIX_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/PhoenixFlight")

install(TARGETS phoenixflight_core EXPORT PhoenixFlightCoreTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/core/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
install(EXPORT PhoenixFlightCoreTargets NAMESPACE phoenixflight:: DESTINATION "${PHOENIX_PACKAGE_DIR}")

if(TARGET phoenixflight_mpi)
  install(TARGETS phoenixflight_mpi EXPORT PhoenixFlightMpiTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  if(EXISTS "${PROJECT_SOURCE_DIR}/mpi/include")
    install(DIRECTORY "${PROJECT_SOURCE_DIR}/mpi/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
      FILES_MATCHING PATTERN "*.hpp" PATTERN "*.h")
  endif()
  install(EXPORT PhoenixFlightMpiTargets NAMESPACE phoenixflight:: DESTINATION "${PHOENIX_PACKAGE_DIR}")
endif()
if(TARGET pflight)
  install(TARGETS pflight RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()
if(TARGET pflight_port)
  install(TARGETS pflight_port RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/PhoenixFlightConfig.cmake.in"
  "${CMAKE_BINARY_DIR}/package/PhoenixFlightConfig.cmake" INSTALL_DESTINATION "${PHOENIX_PACKAGE_DIR}")
# Before 1.0 a minor version may change the interface.
write_basic_package_version_file("${CMAKE_BINARY_DIR}/package/PhoenixFlightConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/package/PhoenixFlightConfig.cmake"
  "${CMAKE_BINARY_DIR}/package/PhoenixFlightConfigVersion.cmake" DESTINATION "${PHOENIX_PACKAGE_DIR}")
