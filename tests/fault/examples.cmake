# The examples under deaths; the cases are those of examples_test.py.
# The distribution's interpreter, which has h5py; another one on PATH may come first.
set(phoenix_python /usr/bin/python3)
set(PHOENIX_TEST_MATRIX "" CACHE FILEPATH "A further Matrix Market file (real symmetric) for the tests of cg")

# phoenix_example_test(<case> <local|mpi> <label> [file])
function(phoenix_example_test case launch label)
  set(matrix)
  set(file examples_test.py)
  if(ARGC GREATER 3)
    set(file "${ARGV3}")
  endif()
  if(PHOENIX_TEST_MATRIX)
    set(matrix --matrix "${PHOENIX_TEST_MATRIX}")
  endif()
  add_test(NAME "Examples.${case}.${launch}"
    COMMAND ${phoenix_python} "${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${file}" --bin "${CMAKE_BINARY_DIR}/bin"
            --launch ${launch} ${matrix} ${case})
  # Generous: each run inside has a timeout of its own, and a sweep may be made longer by PHOENIX_TEST_SCALE.
  set_tests_properties("Examples.${case}.${launch}" PROPERTIES LABELS ${label} TIMEOUT 3600)
endfunction()

foreach(case
    plate_digest_does_not_depend_on_members_or_vnodes
    plate_survives_planned_kills
    plate_survives_with_a_tolerance
    plate_survives_a_stopped_member
    plate_survives_chaos
    plate_survives_joins_retirements_and_moves
    cg_survives_joins_retirements_and_moves
    examples_survive_everything_on_several_nodes
    a_node_may_lose_all_its_members
    a_port_that_is_not_admitted_yet_loses_no_message
    examples_may_move_at_every_step
    plate_survives_kills_from_outside
    plate_reads_and_writes_files
    cg_is_the_same_for_all_members
    two_programs_may_share_a_checkpoint_directory
    queens_counts_while_vnodes_change_hands
    queens_says_that_it_cannot_survive_a_death
    mistakes_are_refused_in_a_sentence
    steps_are_the_same_when_repeated)
  phoenix_example_test(${case} local fault)
endforeach()
foreach(case pflight_may_be_killed_before_members_attach a_stopped_member_does_not_stay_when_pflight_is_gone)
  phoenix_example_test(${case} local fault orphans_test.py)
endforeach()
phoenix_example_test(plate_is_the_same_under_each_placement local fault placements_test.py)
if(PHOENIX_MPI)
  foreach(case
      plate_digest_does_not_depend_on_members_or_vnodes
      plate_survives_planned_kills
      plate_survives_joins_retirements_and_moves
      plate_survives_kills_from_outside
      cg_is_the_same_for_all_members)
    phoenix_example_test(${case} mpi mpi)
  endforeach()
endif()
