try
try help
try --help
try version
try --version
try run -h
try run --help
try help inspect
try bench -h
try selftest -h
try help help

note 'the manual page has a title, and as many entries as there are options'
"$batchcam" help --man >page
head -n 1 page | sed -E 's/[0-9]+\.[0-9]+\.[0-9]+/VERSION/'
grep -c '^\.TP' page
