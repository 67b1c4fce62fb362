# The commands for a running job, a plate; each case of commands_test.py is a test of its own.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS commands_test.py)
execute_process(COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/commands_test.py" --list
  OUTPUT_VARIABLE cases OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" cases "${cases}")
foreach(case IN LISTS cases)
  add_test(NAME "Commands.${case}" COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/commands_test.py" ${case})
  set_tests_properties("Commands.${case}" PROPERTIES LABELS fault TIMEOUT 120 SKIP_RETURN_CODE 77
    ENVIRONMENT "PFLIGHT=$<TARGET_FILE:pflight>;PLATE=${CMAKE_BINARY_DIR}/bin/plate")
endforeach()

# Members that come and go; PHOENIX_TEST_SCALE=17 makes it 1020 joins.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS soak_test.py)
execute_process(COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/soak_test.py" --list
  OUTPUT_VARIABLE cases OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" cases "${cases}")
foreach(case IN LISTS cases)
  add_test(NAME "Soak.${case}" COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/soak_test.py" ${case})
  set_tests_properties("Soak.${case}" PROPERTIES LABELS fault TIMEOUT 3600
    ENVIRONMENT "PFLIGHT=$<TARGET_FILE:pflight>;PLATE=${CMAKE_BINARY_DIR}/bin/plate")
endforeach()
