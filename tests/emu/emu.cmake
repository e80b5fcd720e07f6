# The own CUDA kernels on the CPU: the very .cu files compiled by the host compiler on cuda_emu.h. Part of the tests where the plug-in is
# built; a build under AddressSanitizer runs the same tests under it.
#   bcam_emu         the run time and the kernels as objects, for the tests here and for stand-ins of the run time
#   emu_races        every kernel under the race detector (needs no build of its own: only the kernels are instrumented)
#   emu_planted_*    faults planted into a kernel that must be found
#   emu_registers    what nvcc makes of the kernels for real cards: registers, spills
#   emu_sass         the machine code for an H100: widths of loads and stores, local memory
set(emu ${CMAKE_CURRENT_LIST_DIR})
enable_language(CXX)

set(emu_flags -Wall -Wextra -Wshadow -Wno-comment -Wno-unknown-pragmas -fno-strict-aliasing $<$<BOOL:${BCAM_WERROR}>:-Werror>)
set(emu_folders ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/include ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/kernels ${emu})
file(GLOB emu_kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.cu)
set_source_files_properties(${emu_kernels} ${emu}/misuse.cu PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++")

# bcam_emu_objects(NAME sources… [FLAGS …])
function(bcam_emu_objects name)
    cmake_parse_arguments(ARG "" "" "FLAGS" ${ARGN})
    add_library(${name} OBJECT ${ARG_UNPARSED_ARGUMENTS})
    target_compile_features(${name} PRIVATE cxx_std_17)
    target_compile_options(${name} PRIVATE ${emu_flags} ${ARG_FLAGS})
    target_compile_definitions(${name} PRIVATE _GNU_SOURCE)
    target_include_directories(${name} PRIVATE ${emu_folders})
    target_include_directories(${name} SYSTEM PRIVATE ${BCAM_CUDART_INCLUDE})
endfunction()

set(emu_sanitizers "")
if(BCAM_SANITIZE)
    set(emu_sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
endif()
bcam_emu_objects(bcam_emu ${emu}/cuda_emu.cpp ${emu_kernels} FLAGS ${emu_sanitizers})
bcam_emu_objects(bcam_emu_device ${emu}/kernel_device.c ${CMAKE_SOURCE_DIR}/kernels/table.c FLAGS ${emu_sanitizers})
set(emu_objects $<TARGET_OBJECTS:bcam_emu> $<TARGET_OBJECTS:bcam_emu_device>)

foreach(name test_kernels test_kernels_extra)
    add_executable(${name} ${emu}/${name}.c ${emu_objects})
    target_link_libraries(${name} PRIVATE bcam_check bcam_cpu bcam_test_flags)
    target_compile_options(${name} PRIVATE -Wno-comment)
    target_include_directories(${name} PRIVATE ${emu_folders} ${CMAKE_CURRENT_SOURCE_DIR})
    target_include_directories(${name} SYSTEM PRIVATE ${BCAM_CUDART_INCLUDE})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
    bcam_test(${name} COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/criterion.sh $<TARGET_FILE:${name}>)
endforeach()

# bcam_emu_program(NAME SANITIZER "objects" libraries…)
function(bcam_emu_program name sanitizer objects)
    add_executable(${name} ${objects})
    target_link_libraries(${name} PRIVATE ${ARGN})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
    if(sanitizer)
        target_link_options(${name} PRIVATE -fsanitize=${sanitizer})
    endif()
endfunction()

# bcam_emu_planted(NAME PATTERN SANITIZER [PLANT]): planted.c on a cam.cu with a fault in it
function(bcam_emu_planted name pattern sanitizer)
    set(flags -g -O1 -fsanitize=${sanitizer})
    set(machine bcam_emu_machine_${sanitizer})
    if(sanitizer STREQUAL thread)
        list(APPEND flags -DEMU_TSAN)
    endif()
    bcam_emu_objects(${name}_objects ${emu}/planted.c ${CMAKE_SOURCE_DIR}/kernels/cam.cu FLAGS ${flags} ${ARGN})
    bcam_emu_program(${name} ${sanitizer} "$<TARGET_OBJECTS:${name}_objects>;$<TARGET_OBJECTS:${machine}>" bcam_dev bcam_base)
    bcam_test(${name} COMMAND ${emu}/planted.sh ${pattern} $<TARGET_FILE:${name}>)
endfunction()

if(BCAM_SANITIZE)
    return()
endif()

# The run time itself is not instrumented by the race detector; it tells it what is ordered.
bcam_emu_objects(bcam_emu_machine_thread ${emu}/cuda_emu.cpp FLAGS -g -O2 -DEMU_TSAN)
bcam_emu_objects(bcam_emu_machine_address ${emu}/cuda_emu.cpp FLAGS -g -O1 -fsanitize=address)
bcam_emu_objects(bcam_emu_races_objects ${emu_kernels} FLAGS -g -O1 -DEMU_TSAN -fsanitize=thread)
bcam_emu_objects(bcam_emu_races_main ${emu}/race_check.c)
bcam_emu_program(emu_races thread
    "$<TARGET_OBJECTS:bcam_emu_races_objects>;$<TARGET_OBJECTS:bcam_emu_races_main>;$<TARGET_OBJECTS:bcam_emu_machine_thread>;$<TARGET_OBJECTS:bcam_emu_device>"
    bcam_check bcam_cpu)
bcam_test(emu_races COMMAND emu_races)

bcam_emu_planted(emu_planted_nothing_address clean address)
bcam_emu_planted(emu_planted_nothing_thread clean thread)
bcam_emu_planted(emu_planted_shared_overrun "heap-buffer-overflow.*bcam::(write_range|cam)" address -DBCAM_PLANT_SHARED_OVERRUN)
bcam_emu_planted(emu_planted_global_overrun "heap-buffer-overflow.*bcam::cam" address -DBCAM_PLANT_GLOBAL_OVERRUN)
bcam_emu_planted(emu_planted_no_barrier "data race.*bcam::write_range" thread -DBCAM_PLANT_NO_BARRIER)
bcam_emu_planted(emu_planted_block_race "data race.*bcam::cam" thread -DBCAM_PLANT_BLOCK_RACE)

bcam_emu_objects(emu_misuse_objects ${emu}/misuse.cu)
bcam_emu_program(emu_misuse "" "$<TARGET_OBJECTS:emu_misuse_objects>;$<TARGET_OBJECTS:bcam_emu>;$<TARGET_OBJECTS:bcam_emu_device>" bcam_dev bcam_base)
set(emu_misuses "threads have returned|returns while" "is at the __syncthreads of line" "deadlock: of 64 threads 48 wait"
    "not in the mask" "misaligned load of 16 bytes" "out is not a number" "launch refused" "launch refused" clean)
foreach(kind RANGE 8)
    list(GET emu_misuses ${kind} pattern)
    bcam_test(emu_misuse_${kind} COMMAND ${emu}/planted.sh ${pattern} $<TARGET_FILE:emu_misuse> ${kind})
endforeach()

bcam_test(emu_registers COMMAND ${emu}/check_registers.sh ${CMAKE_SOURCE_DIR} "$<IF:$<BOOL:${BCAM_NVCC}>,${BCAM_NVCC},nvcc>" ${CMAKE_BINARY_DIR})
# The machine code itself, where there is a disassembler: cuobjdump of the toolkit, or of PyPI's nvidia-cuda-cuobjdump beside nvidia-cuda-nvdisasm.
find_program(BCAM_CUOBJDUMP cuobjdump HINTS ${cuda_hints} PATH_SUFFIXES bin)
mark_as_advanced(BCAM_CUOBJDUMP)
bcam_test(emu_sass COMMAND ${emu}/sass.sh ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR} "$<IF:$<BOOL:${BCAM_NVCC}>,${BCAM_NVCC},nvcc>"
    "$<IF:$<BOOL:${BCAM_CUOBJDUMP}>,${BCAM_CUOBJDUMP},cuobjdump>")
