. <("$batchcam" help --bash)

# The words offered for a command line; the last word is the one being typed.
complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    _batchcam 2>/dev/null
    printf '%s |' "$*"
    printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' '|' # files come in no order
    printf '\n'
}

mkdir photos 'more photos'
touch model.onnx names.txt
complete_words batchcam ''
complete_words batchcam r
complete_words batchcam run ''
complete_words batchcam run mod
complete_words batchcam run --pre
complete_words batchcam run --dtype ''
complete_words batchcam run --dtype u
complete_words batchcam run -o ''
complete_words batchcam run --out ''
complete_words batchcam run --output ''
complete_words batchcam run --score ''
complete_words batchcam run --names n
complete_words batchcam run --layer ''
complete_words batchcam selftest --device r
complete_words batchcam inspect --
complete_words batchcam help s
