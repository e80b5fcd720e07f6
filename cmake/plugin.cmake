# The CUDA plug-in, libbatchcam_cuda.so. Needs the CUDA toolkit (12 or newer) with nvcc, cuBLAS, and cuDNN (9 or newer). They are looked for in
#   BCAM_CUDA_ROOT, CUDAToolkit_ROOT, $CUDA_PATH     a toolkit, or the `nvidia` folder of NVIDIA's PyPI packages
#   /usr/local/cuda, /usr                            NVIDIA's installers, distributions
# Without them there is one line of notice, and everything else builds; with BCAM_CUDA=ON it is an error.
set(BCAM_CUDA_ROOT "" CACHE PATH "CUDA toolkit, or site-packages/nvidia of the PyPI packages")
set(BCAM_CUDA_ARCHITECTURES "75;80;86;89;90;100;120" CACHE STRING "Compute capabilities that the own kernels are compiled for; the last also as PTX")

set(cuda_roots ${BCAM_CUDA_ROOT} ${CUDAToolkit_ROOT} $ENV{CUDA_PATH} /usr/local/cuda /usr)
# PyPI: nvidia/cu13 holds everything from CUDA 13 on, before that each library has a folder of its own; cuDNN always has.
set(cuda_places . cu13 cuda_runtime cublas cudnn cuda_nvcc)
set(cuda_hints "")
foreach(root ${cuda_roots})
    foreach(place ${cuda_places})
        list(APPEND cuda_hints ${root}/${place})
    endforeach()
endforeach()

find_program(BCAM_NVCC nvcc HINTS ${cuda_hints} PATH_SUFFIXES bin)
find_path(BCAM_CUDART_INCLUDE cuda_runtime_api.h HINTS ${cuda_hints} PATH_SUFFIXES include)
find_path(BCAM_CUBLAS_INCLUDE cublas_v2.h HINTS ${cuda_hints} PATH_SUFFIXES include)
find_path(BCAM_CUDNN_INCLUDE cudnn_graph.h HINTS ${cuda_hints} PATH_SUFFIXES include include/x86_64-linux-gnu)
# In the PyPI packages only the versioned names exist.
set(lib_suffixes lib64 lib lib/x86_64-linux-gnu)
find_library(BCAM_CUDART_LIBRARY NAMES cudart libcudart.so.13 libcudart.so.12 NAMES_PER_DIR HINTS ${cuda_hints} PATH_SUFFIXES ${lib_suffixes})
find_library(BCAM_CUBLAS_LIBRARY NAMES cublas libcublas.so.13 libcublas.so.12 NAMES_PER_DIR HINTS ${cuda_hints} PATH_SUFFIXES ${lib_suffixes})
find_library(BCAM_CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 NAMES_PER_DIR HINTS ${cuda_hints} PATH_SUFFIXES ${lib_suffixes})

# bcam_cuda_version(OUT FILE "regular expression for the number behind #define")
function(bcam_cuda_version out file define)
    set(${out} 0 PARENT_SCOPE)
    if(EXISTS ${file})
        file(STRINGS ${file} line REGEX "#define +${define} +[0-9]+" LIMIT_COUNT 1)
        if(line MATCHES "([0-9]+)[ \t]*$")
            set(${out} ${CMAKE_MATCH_1} PARENT_SCOPE)
        endif()
    endif()
endfunction()
bcam_cuda_version(cudart_version ${BCAM_CUDART_INCLUDE}/cuda_runtime_api.h CUDART_VERSION)
bcam_cuda_version(cudnn_major ${BCAM_CUDNN_INCLUDE}/cudnn_version.h CUDNN_MAJOR)
math(EXPR cuda_major "${cudart_version} / 1000")

set(missing "")
foreach(part NVCC CUDART_INCLUDE CUBLAS_INCLUDE CUDNN_INCLUDE CUDART_LIBRARY CUBLAS_LIBRARY CUDNN_LIBRARY)
    mark_as_advanced(BCAM_${part})
    if(NOT BCAM_${part})
        list(APPEND missing BCAM_${part})
    endif()
endforeach()
if(BCAM_CUDART_INCLUDE AND cuda_major LESS 12)
    list(APPEND missing "a toolkit of CUDA 12 or newer (this is ${cuda_major})")
endif()
if(BCAM_CUDNN_INCLUDE AND cudnn_major LESS 9)
    list(APPEND missing "cuDNN 9 or newer (this is ${cudnn_major})")
endif()
include(CheckLanguage)
check_language(CXX) # nvcc wants one
if(NOT CMAKE_CXX_COMPILER)
    list(APPEND missing "a C++ compiler")
endif()
if(missing)
    list(JOIN missing ", " missing)
    if(BCAM_CUDA STREQUAL AUTO)
        message(STATUS "CUDA: the plug-in is not built, for these were not found: ${missing} (see docs/gpu.md)")
        return()
    endif()
    message(FATAL_ERROR "CUDA: -DBCAM_CUDA=${BCAM_CUDA} asks for the plug-in, and these were not found: ${missing} (see docs/gpu.md)")
endif()

# How kernels and host code are compiled, also for the tests that run them elsewhere.
add_library(bcam_cuda_headers INTERFACE)
target_include_directories(bcam_cuda_headers INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/kernels)
target_include_directories(bcam_cuda_headers SYSTEM INTERFACE ${BCAM_CUDART_INCLUDE} ${BCAM_CUBLAS_INCLUDE} ${BCAM_CUDNN_INCLUDE})

# The own kernels: machine code for each architecture that this nvcc knows, and PTX of the newest for those to come.
execute_process(COMMAND ${BCAM_NVCC} --list-gpu-code OUTPUT_VARIABLE known_codes ERROR_QUIET)
set(nvcc_codes "")
foreach(architecture ${BCAM_CUDA_ARCHITECTURES})
    if(known_codes MATCHES "sm_${architecture}\n")
        list(APPEND nvcc_codes -gencode=arch=compute_${architecture},code=sm_${architecture})
        set(newest ${architecture})
    endif()
endforeach()
list(APPEND nvcc_codes -gencode=arch=compute_${newest},code=compute_${newest})
file(GLOB kernel_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.cu)
set(kernel_objects "")
foreach(source ${kernel_sources})
    get_filename_component(name ${source} NAME_WE)
    set(object ${CMAKE_BINARY_DIR}/kernels/${name}.o)
    add_custom_command(
        OUTPUT ${object}
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/kernels
        COMMAND ${CMAKE_SOURCE_DIR}/cmake/nvcc.sh ${CMAKE_BINARY_DIR}/kernels/${name}.ptxas ${BCAM_NVCC} -std=c++17 -O3 ${nvcc_codes} -Xcompiler=-fPIC,-fvisibility=hidden,-Wall -cudart=shared -MD -MF ${object}.d
                -I${CMAKE_SOURCE_DIR}/include -I${CMAKE_SOURCE_DIR}/src -I${CMAKE_SOURCE_DIR}/kernels -I${BCAM_CUDART_INCLUDE} -c ${source} -o ${object}
        DEPENDS ${source}
        DEPFILE ${object}.d
        COMMENT "Compiling kernels/${name}.cu"
        VERBATIM)
    list(APPEND kernel_objects ${object})
endforeach()
file(GLOB kernel_tables CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*.c)

# The host code as objects, so that the plug-in and the tests link the very same ones.
file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/cuda/*.c)
add_library(bcam_cuda OBJECT ${cuda_sources} ${kernel_tables})
target_link_libraries(bcam_cuda PUBLIC bcam_flags bcam_cuda_headers)

add_library(batchcam_cuda MODULE $<TARGET_OBJECTS:bcam_cuda> ${kernel_objects})
set_source_files_properties(${kernel_objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
set_target_properties(batchcam_cuda PROPERTIES LINKER_LANGUAGE C)
# What nvcc makes of a launch is C++ and wants a little of its run time, which cuDNN has loaded anyway.
set(cuda_libraries bcam_dev bcam_base ${BCAM_CUDART_LIBRARY} ${BCAM_CUBLAS_LIBRARY} ${BCAM_CUDNN_LIBRARY} stdc++)
target_link_libraries(batchcam_cuda PRIVATE bcam_flags ${cuda_libraries})
# Everything but bcam_plugin_open is hidden. The archives' objects are hidden by how they are compiled; the public calls of base/ are not.
target_link_options(batchcam_cuda PRIVATE -Wl,--exclude-libs,ALL -Wl,--as-needed -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/plugin.map)
if(NOT BCAM_SANITIZE) # the sanitizers' own symbols come from the program
    target_link_options(batchcam_cuda PRIVATE -Wl,-z,defs)
endif()
set_target_properties(batchcam_cuda PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/cmake/plugin.map)

# Where the libraries are looked for at run time: where they were found, the usual places, and PyPI's, seen from a plug-in inside site-packages.
set(cuda_rpath "$ORIGIN")
foreach(library ${BCAM_CUDART_LIBRARY} ${BCAM_CUBLAS_LIBRARY} ${BCAM_CUDNN_LIBRARY})
    get_filename_component(folder ${library} DIRECTORY)
    list(APPEND cuda_rpath ${folder})
endforeach()
list(APPEND cuda_rpath /usr/local/cuda/lib64 /usr/lib/x86_64-linux-gnu)
foreach(place cu13 cuda_runtime cublas cudnn)
    list(APPEND cuda_rpath "$ORIGIN/../nvidia/${place}/lib")
endforeach()
list(REMOVE_DUPLICATES cuda_rpath)
set_target_properties(batchcam_cuda PROPERTIES INSTALL_RPATH "${cuda_rpath}" BUILD_WITH_INSTALL_RPATH ON)
target_link_options(batchcam_cuda PRIVATE -Wl,--enable-new-dtags)
install(TARGETS batchcam_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
message(STATUS "CUDA: the plug-in is built with ${BCAM_NVCC} and ${BCAM_CUDNN_LIBRARY}")
