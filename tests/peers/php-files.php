<?php
// PHP's file sessions, as a peer in the benchmark.
//
// The argument is the directory. Each line of the input is an operation and the
// numbers of the sessions to do it with; each line of the output tells how many
// nanoseconds that took.

// PHP only warns, for example, that it cannot read a session. Here, each warning is an error.
set_error_handler(function ($level, $message) {
    fwrite(STDERR, "$message\n");
    exit(1);
});

session_save_path($argv[1]);
$options = ['use_cookies' => 0, 'cache_limiter' => '', 'use_strict_mode' => 0];
$perform = [
    'create' => function () use ($options) {
        session_start($options);
        $_SESSION = ['data' => str_repeat('x', 660), 'n' => 1];
        session_write_close();
    },
    'load' => function () use ($options) {
        session_start($options + ['read_and_close' => true]);
        if (!isset($_SESSION['n'])) {
            trigger_error('a session is gone');
        }
    },
    'save' => function () use ($options) {
        session_start($options);
        $_SESSION['n']++;
        session_write_close();
    },
    'delete' => function () use ($options) {
        session_start($options);
        session_destroy();
    },
];
while (($line = fgets(STDIN)) !== false) {
    $ids = array_map('md5', explode(' ', trim($line)));
    $operation = $perform[strtok(trim($line), ' ')];
    array_shift($ids);
    $start = hrtime(true);
    foreach ($ids as $id) {
        session_id($id);
        $operation();
    }
    fwrite(STDOUT, (hrtime(true) - $start) . "\n");
}
