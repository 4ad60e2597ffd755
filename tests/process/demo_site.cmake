# The demo site as a person uses it, on the real binary. STINT_TEST_PYTHON_VENV names a virtual environment with Django
# (./dev test makes one); without it the story is skipped, and says so.
add_test(NAME "process: the demo site serves login, style sheet, database page and upload"
  COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/demo_site_story.py
          --stint ${CMAKE_BINARY_DIR}/stint --site ${CMAKE_SOURCE_DIR}/tests/apps/demo_site)
set_tests_properties("process: the demo site serves login, style sheet, database page and upload"
  PROPERTIES LABELS process TIMEOUT 300 SKIP_RETURN_CODE 77)
