# pflight selftest: the real thing, and with something wrong planted.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS selftest_test.py)
execute_process(COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/selftest_test.py" --list
  OUTPUT_VARIABLE cases OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" cases "${cases}")
foreach(case IN LISTS cases)
  add_test(NAME "Selftest.${case}" COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/selftest_test.py" ${case})
  set_tests_properties("Selftest.${case}" PROPERTIES LABELS fault TIMEOUT 3600 ENVIRONMENT "PFLIGHT=$<TARGET_FILE:pflight>")
endforeach()

# Jobs of several nodes; each case of nodes_test.py is a test of its own.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS nodes_test.py)
execute_process(COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/nodes_test.py" --list
  OUTPUT_VARIABLE cases OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
string(REPLACE "\n" ";" cases "${cases}")
foreach(case IN LISTS cases)
  add_test(NAME "Nodes.${case}" COMMAND ${Python3_EXECUTABLE} "${CMAKE_CURRENT_LIST_DIR}/nodes_test.py" ${case})
  set_tests_properties("Nodes.${case}" PROPERTIES LABELS fault TIMEOUT 120 SKIP_RETURN_CODE 77
    ENVIRONMENT "PFLIGHT=$<TARGET_FILE:pflight>;TEST_MEMBER=$<TARGET_FILE:phoenix_test_member>")
endforeach()
